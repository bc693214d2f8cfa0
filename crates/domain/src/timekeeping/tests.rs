//! The judgement alone: pairs of readings, and what is made of them.

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const BOOTED: Duration = Duration::from_secs(1_000);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(moment.millis() - u64::try_from(by.as_millis()).unwrap())
}

/// A start at which the store knows a time of `ago`, and the first reading after it.
fn start(ago: Duration, doubted: bool) -> (Known, Reading) {
    let mut known = Known::at_start(ClockMark { latest: earlier(NOW, ago), doubted }, BOOTED);
    let reading = known.read(NOW, BOOTED);
    (known, reading)
}

fn running() -> Known {
    start(seconds(10), false).0
}

#[test]
fn a_clock_that_goes_on_as_time_does_is_believed() {
    let mut known = running();
    for passed in [0, 1, 60, 3_600, 91 * 86_400, 10 * 365 * 86_400] {
        let passed = seconds(passed);
        let reading = known.read(NOW.plus(passed), BOOTED + passed);
        assert_eq!((reading.now(), reading.standing()), (NOW.plus(passed), ClockStanding::Sound));
        assert!(reading.for_issuing().is_ok() && reading.elapsed().is_some());
    }
}

#[test]
fn time_never_goes_back_and_goes_on_while_the_clock_is_behind() {
    let sets_back = [seconds(61), HOUR, DAY, 400 * DAY, seconds(NOW.seconds())];
    for back in sets_back {
        let mut known = running();
        for passed in [0, 30, 4_000] {
            let passed = seconds(passed);
            let reading = known.read(earlier(NOW, back).plus(passed), BOOTED + passed);
            assert_eq!(reading.now(), NOW.plus(passed), "{back:?} back");
            assert_eq!(reading.standing(), ClockStanding::Behind(back));
            assert!(reading.for_issuing().is_err() && reading.elapsed().is_some());
        }
        // Set right, it is believed again.
        let later = seconds(5_000);
        let reading = known.read(NOW.plus(later), BOOTED + later);
        assert_eq!((reading.now(), reading.standing()), (NOW.plus(later), ClockStanding::Sound));
    }
}

#[test]
fn a_minute_back_is_believed_once_and_not_sixty_times() {
    let mut known = running();
    assert_eq!(known.read(earlier(NOW, seconds(60)), BOOTED).standing(), ClockStanding::Sound);
    assert_eq!(known.read(earlier(NOW, seconds(60)), BOOTED).now(), NOW);
    let second = known.read(earlier(NOW, seconds(120)), BOOTED);
    assert_eq!(second.standing(), ClockStanding::Behind(seconds(120)));
}

#[test]
fn a_frozen_clock_is_behind_after_a_minute() {
    let mut known = running();
    assert_eq!(known.read(NOW, BOOTED + seconds(60)).standing(), ClockStanding::Sound);
    assert_eq!(known.read(NOW, BOOTED + seconds(61)).standing(), ClockStanding::Behind(seconds(61)));
}

#[test]
fn a_jump_ahead_makes_nothing_old_and_a_clock_that_comes_back_is_believed() {
    for jump in [HOUR + seconds(1), DAY, 91 * DAY, 3_650 * DAY] {
        let mut known = running();
        let ahead = known.read(NOW.plus(jump), BOOTED);
        assert_eq!((ahead.now(), ahead.standing()), (NOW.plus(jump), ClockStanding::Ahead(jump)));
        assert!(ahead.for_issuing().is_ok() && ahead.elapsed().is_none());
        assert_eq!(known.latest(BOOTED), NOW, "what is in doubt is not remembered");
        let back = known.read(NOW.plus(seconds(5)), BOOTED + seconds(5));
        assert_eq!((back.now(), back.standing()), (NOW.plus(seconds(5)), ClockStanding::Sound));
    }
}

#[test]
fn an_hour_ahead_is_believed_once_and_not_a_thousand_times() {
    let mut known = running();
    assert_eq!(known.read(NOW.plus(HOUR), BOOTED).standing(), ClockStanding::Sound);
    let second = known.read(NOW.plus(HOUR * 2), BOOTED);
    assert_eq!(second.standing(), ClockStanding::Ahead(HOUR * 2));
}

#[test]
fn at_a_start_a_week_may_have_passed_and_not_more() {
    assert_eq!(start(7 * DAY, false).1.standing(), ClockStanding::Sound);
    let (mut known, reading) = start(8 * DAY, false);
    assert_eq!(reading.standing(), ClockStanding::Ahead(8 * DAY));
    // However long that process goes on to run.
    let later = known.read(NOW.plus(30 * DAY), BOOTED + 30 * DAY);
    assert_eq!(later.standing(), ClockStanding::Ahead(8 * DAY));
    assert!(known.doubted);
}

#[test]
fn after_a_start_jumps_are_measured_from_the_first_time_that_was_believed() {
    let (mut known, _) = start(6 * DAY, false);
    assert_eq!(
        known.read(NOW.plus(HOUR + seconds(1)), BOOTED).standing(),
        ClockStanding::Ahead(HOUR + seconds(1))
    );
    // A machine without a clock of its own starts in the past, and is put right days later.
    let mut known = Known::at_start(ClockMark { latest: NOW, doubted: false }, BOOTED);
    assert!(matches!(known.read(Timestamp::default(), BOOTED).standing(), ClockStanding::Behind(_)));
    assert_eq!(known.read(NOW.plus(3 * DAY), BOOTED + seconds(9)).standing(), ClockStanding::Sound);
}

#[test]
fn a_start_does_not_settle_a_doubt() {
    assert_eq!(start(DAY, true).1.standing(), ClockStanding::Ahead(DAY));
    let (known, reading) = start(HOUR, true);
    assert_eq!(reading.standing(), ClockStanding::Sound);
    assert!(!known.doubted);
    // Nor does being behind for a while.
    let mut known = running();
    known.read(NOW.plus(DAY), BOOTED);
    known.read(earlier(NOW, DAY), BOOTED);
    assert!(known.doubted);
}

#[test]
fn numbers_at_the_edges_do_no_harm() {
    let far = [Timestamp::default(), NOW, Timestamp::from_millis(u64::MAX)];
    let long = [Duration::ZERO, BOOTED, Duration::MAX];
    for (latest, wall) in far.into_iter().flat_map(|latest| far.map(|wall| (latest, wall))) {
        for (first, then) in long.into_iter().flat_map(|first| long.map(|then| (first, then))) {
            let mut known = Known::at_start(ClockMark { latest, doubted: false }, first);
            known.read(wall, first);
            known.read(wall, then);
        }
    }
}
