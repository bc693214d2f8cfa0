//! The table, in the form that documentation takes.

use std::fs;

use crate::load::Measured;

/// Rows as they come.
pub struct Report {
    rows: Vec<[String; 7]>,
    notes: Vec<String>,
}

impl Report {
    pub fn new(connections: usize, seconds: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let model = model.trim_start_matches(['\t', ' ', ':']);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let note = format!(
            "{cores} cores ({model}), Linux {}, shared by the server and the load; {connections} connections, TLS 1.3 \
             with keep-alive, {seconds} s each after a second of warming up; the audit log is durable",
            kernel.trim()
        );
        Self { rows: Vec::new(), notes: vec![note] }
    }

    /// A row with a rate.
    pub fn load(&mut self, what: &str, aim: &str, measured: Measured) {
        let rate = measured.rate();
        let milliseconds = |micros: f64| format!("{:.2} ms", micros / 1e3);
        let processor = measured.processor_micros.map_or(String::new(), |micros| format!(", {micros:.0} µs"));
        eprintln!("{what}: {rate:.0}/s{processor}");
        self.rows.push([
            what.to_owned(),
            format!("{rate:.0}/s"),
            milliseconds(measured.p50),
            milliseconds(measured.p99),
            milliseconds(measured.max),
            measured.processor_micros.map_or(String::new(), |micros| format!("{micros:.0} µs")),
            aim.to_owned(),
        ]);
        if measured.errors > 0 {
            let first = measured.first_error.unwrap_or_default();
            self.note(&format!(
                "{what}: {} answers were not as expected, the first: {first}",
                measured.errors
            ));
        }
    }

    /// A row with one number.
    pub fn fact(&mut self, what: &str, aim: &str, value: String) {
        eprintln!("{what}: {value}");
        self.rows.push([
            what.to_owned(),
            value,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            aim.to_owned(),
        ]);
    }

    /// Something to know about a row.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// Prints everything.
    pub fn print(&self) {
        println!(
            "| what | measured | p50 | p99 | max | processor | aim |\n|---|---:|---:|---:|---:|---:|---|"
        );
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
        println!();
        for note in &self.notes {
            println!("- {note}");
        }
    }
}
