//! Golden files: what the code says, written down, so that a change of it is a diff that somebody reads.

use std::path::Path;

/// Compares `actual` with the file at `path`, or writes the file when `UPDATE_GOLDEN=1` is set.
///
/// Name the file as `concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/….txt")`.
#[track_caller]
pub fn check(path: impl AsRef<Path>, actual: &str) {
    let path = path.as_ref();
    // Tests have no command line of their own, so the switch is a variable.
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, actual));
        assert!(written.is_ok(), "`{}` cannot be written: {written:?}", path.display());
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if let Some(difference) = difference(&expected, actual) {
        panic!(
            "`{}` is not what the code says: {difference}\nIf the change is meant, run the test again with \
             UPDATE_GOLDEN=1 and read the diff before you commit it.",
            path.display()
        );
    }
}

fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (mut old, mut new) = (expected.lines(), actual.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                let side = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
                return Some(format!("line {number}\n  file: {}\n  code: {}", side(a), side(b)));
            }
        }
    }
    Some("only the ends of lines differ".to_owned())
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_differing_line_is_named() {
        let table = [
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\n", "a\nc\n", Some("line 2")),
            ("a\n", "a\nb\n", Some("line 2")),
            ("a\nb\n", "a\n", Some("line 2")),
            ("", "a\n", Some("line 1")),
            ("a\n", "a", Some("only the ends of lines")),
        ];
        for (expected, actual, said) in table {
            let difference = difference(expected, actual);
            assert_eq!(difference.is_some(), said.is_some());
            assert!(difference.unwrap_or_default().starts_with(said.unwrap_or_default()));
        }
    }
}
