//! A token that hangs, fails, loses connections or refuses, in the place of a real one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{Exportable, HsmError};
use vouchsafe_hsm::breaker::Position;
use vouchsafe_hsm::pkcs11::connection::{Connection, Connector, Fault, Reply, Request};
use vouchsafe_hsm::pkcs11::material::{Check, TokenKey};
use vouchsafe_hsm::{Pkcs11Hsm, TokenSettings};

use super::software::software;
use super::{Hand, run};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Works,
    Hangs,
    Fails,
    LosesConnections,
    RefusesThePin,
    RefusesInput,
}

/// A token with a mood.
struct Moody {
    mood: Mutex<Mood>,
    changed: Condvar,
    connected: AtomicUsize,
    performed: AtomicUsize,
    destroyed: AtomicUsize,
}

impl Moody {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    fn count(&self, what: &AtomicUsize) -> usize {
        what.load(Ordering::SeqCst)
    }
}

struct OverMoody(Arc<Moody>);

impl Connector for OverMoody {
    fn connect(&self, _: Instant) -> Result<Box<dyn Connection>, Fault> {
        self.0.connected.fetch_add(1, Ordering::SeqCst);
        match *self.0.mood.lock().unwrap() {
            Mood::RefusesThePin => Err(Fault::Answer(HsmError::Locked)),
            Mood::Fails => Err(Fault::Failed("device error".into())),
            _ => Ok(Box::new(OverMoody(Arc::clone(&self.0)))),
        }
    }
}

impl Connection for OverMoody {
    fn perform(&mut self, request: &Request, _: Instant) -> Result<Reply, Fault> {
        self.0.performed.fetch_add(1, Ordering::SeqCst);
        let mut mood = self.0.mood.lock().unwrap();
        while *mood == Mood::Hangs {
            mood = self.0.changed.wait(mood).unwrap();
        }
        match (*mood, request) {
            (Mood::Fails, _) => Err(Fault::Failed("device error".into())),
            (Mood::LosesConnections, _) => Err(Fault::Lost("no such handle".into())),
            (Mood::RefusesInput, _) => Err(Fault::Answer(HsmError::Refused("bad input"))),
            (_, Request::Generate(spec, exportable)) => {
                let check = Check::Value([1; 32]);
                Ok(Reply::Held(TokenKey { spec: *spec, id: [2; 16], exportable: *exportable, check }, None))
            }
            (_, Request::Destroy(_)) => {
                self.0.destroyed.fetch_add(1, Ordering::SeqCst);
                Ok(Reply::Done)
            }
            (_, Request::Random(bytes)) => Ok(Reply::Secret(SecretBytes::new(vec![4; *bytes]))),
            _ => Ok(Reply::Serial("moody".into())),
        }
    }
}

const DEADLINE: Duration = Duration::from_millis(60);

fn moody(workers: usize) -> (Arc<Moody>, Arc<Pkcs11Hsm>, Arc<Hand>) {
    let token = Arc::new(Moody {
        mood: Mutex::new(Mood::Works),
        changed: Condvar::new(),
        connected: AtomicUsize::new(0),
        performed: AtomicUsize::new(0),
        destroyed: AtomicUsize::new(0),
    });
    let mut settings = TokenSettings::new("/none".into(), "moody", "/none".into());
    settings.workers = workers;
    settings.call_deadline = DEADLINE;
    settings.generate_deadline = DEADLINE;
    settings.failures_max = 3;
    settings.cooling = Duration::from_secs(10);
    let clock = Arc::new(Hand::new());
    let connector = Arc::new(OverMoody(Arc::clone(&token)));
    let hsm = Pkcs11Hsm::over(connector, Arc::default(), &settings, clock.clone()).unwrap();
    (token, Arc::new(hsm), clock)
}

pub fn is_unavailable<T>(result: Result<T, HsmError>) -> bool {
    matches!(result, Err(HsmError::Unavailable { .. }))
}

pub async fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came true");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_hung_token_costs_a_deadline_then_nothing_and_recovers_without_falling_back() {
    run(async {
        let (token, hsm, clock) = moody(2);
        let software = software();
        hsm.healthy().await.unwrap();
        token.set(Mood::Hangs);
        let performed = token.count(&token.performed);
        for stuck in 1..=2 {
            let start = Instant::now();
            assert!(is_unavailable(hsm.healthy().await));
            assert!(start.elapsed() >= DEADLINE, "it was given its time");
            assert_eq!(hsm.state().stuck, stuck);
        }
        assert!(is_unavailable(hsm.healthy().await), "every thread hangs");
        assert_eq!(hsm.state().breaker, Position::Open);
        for _ in 0..100 {
            assert!(is_unavailable(hsm.random(16).await));
        }
        assert_eq!(token.count(&token.performed), performed + 2, "a token that hangs is left alone");
        assert_eq!(software.random(16).await.unwrap().len(), 16, "software is not concerned");
        let made = software.generate(KeySpec::P256, Exportable::Never).await.unwrap();
        assert!(made.public.is_some());
        token.set(Mood::Works);
        until(|| hsm.state().stuck == 0).await;
        assert!(is_unavailable(hsm.healthy().await), "not before the cooling is over");
        clock.advance(10);
        let connected = token.count(&token.connected);
        hsm.healthy().await.unwrap();
        assert_eq!(hsm.state().breaker, Position::Closed);
        assert_eq!(token.count(&token.connected), connected + 1, "a connection that hung is not used again");
    });
}

#[test]
fn a_token_that_fails_is_left_alone_and_one_call_finds_out_that_it_is_back() {
    run(async {
        let (token, hsm, clock) = moody(2);
        token.set(Mood::Fails);
        for _ in 0..3 {
            assert!(is_unavailable(hsm.healthy().await));
        }
        let connected = token.count(&token.connected);
        assert_eq!(hsm.healthy().await, Err(HsmError::Unavailable { retry_after_seconds: 10 }));
        clock.advance(10);
        assert!(is_unavailable(hsm.healthy().await), "the trial failed");
        assert!(is_unavailable(hsm.healthy().await));
        assert_eq!(token.count(&token.connected), connected + 1, "one trial");
        token.set(Mood::Works);
        clock.advance(10);
        hsm.healthy().await.unwrap();
        assert_eq!(hsm.state().breaker, Position::Closed);
    });
}

#[test]
fn a_lost_connection_is_opened_once_more_and_not_twice() {
    run(async {
        let (token, hsm, _) = moody(1);
        hsm.healthy().await.unwrap();
        token.set(Mood::LosesConnections);
        let (connected, performed) = (token.count(&token.connected), token.count(&token.performed));
        assert!(is_unavailable(hsm.healthy().await));
        assert_eq!(token.count(&token.connected), connected + 1);
        assert_eq!(token.count(&token.performed), performed + 2);
    });
}

#[test]
fn refused_input_and_a_refused_pin_do_not_open_the_breaker() {
    run(async {
        let (token, hsm, _) = moody(2);
        token.set(Mood::RefusesInput);
        for _ in 0..20 {
            assert_eq!(hsm.healthy().await, Err(HsmError::Refused("bad input")));
        }
        let (token, locked, _) = moody(2);
        token.set(Mood::RefusesThePin);
        for _ in 0..20 {
            assert_eq!(locked.healthy().await, Err(HsmError::Locked));
        }
        assert_eq!((hsm.state().breaker, locked.state().breaker), (Position::Closed, Position::Closed));
    });
}

#[test]
fn a_key_that_comes_after_the_deadline_is_destroyed() {
    run(async {
        let (token, hsm, _) = moody(1);
        token.set(Mood::Hangs);
        assert!(is_unavailable(hsm.generate(KeySpec::Oct256, Exportable::Never).await));
        token.set(Mood::Works);
        until(|| token.count(&token.destroyed) == 1).await;
        until(|| hsm.state().stuck == 0).await;
        let caller = Arc::clone(&hsm);
        token.set(Mood::Hangs);
        let performed = token.count(&token.performed);
        let call =
            tokio::spawn(async move { caller.generate(KeySpec::Oct256, Exportable::Never).await.map(drop) });
        until(|| token.count(&token.performed) > performed).await;
        call.abort();
        let _ = call.await;
        token.set(Mood::Works);
        until(|| token.count(&token.destroyed) == 2).await;
    });
}

#[test]
fn the_queue_before_a_token_is_bounded_and_what_waited_too_long_is_not_done() {
    run(async {
        let (token, hsm, _) = moody(1);
        token.set(Mood::Hangs);
        let calls: Vec<_> = (0..300)
            .map(|_| {
                let hsm = Arc::clone(&hsm);
                tokio::spawn(async move { hsm.healthy().await })
            })
            .collect();
        for call in calls {
            assert!(is_unavailable(call.await.unwrap()));
        }
        assert_eq!(
            hsm.state().breaker,
            Position::Closed,
            "one call failed, and the others say nothing of the token"
        );
        token.set(Mood::Works);
        until(|| hsm.state().stuck == 0).await;
        assert_eq!(token.count(&token.performed), 1, "the others were never begun");
    });
}
