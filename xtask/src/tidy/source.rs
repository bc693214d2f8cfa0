//! The texts that the rules look at: every file of the repository, with Rust split into code and commentary.
//!
//! This is a lexer's first hundred lines and no more: it knows comments, strings, raw strings and character
//! literals, which is all that "does the *code* say this" needs. Blanked parts keep their line breaks, so that
//! line numbers stay true.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Directories that hold nothing written by hand.
const SKIPPED_DIRECTORIES: &[&str] = &["target", ".git", "__pycache__", "corpus", "seeds", "artifacts"];

/// Files larger than this are data, not prose or code.
const FILE_BYTES_MAX: u64 = 2_000_000;

/// Every text file of the repository, in order of path.
pub struct Tree {
    pub files: Vec<File>,
}

/// One text file.
pub struct File {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
    /// For Rust: the text with comments and the insides of literals blanked. Otherwise empty.
    pub code: String,
    /// For Rust: the text with everything but comments blanked. Otherwise the whole text.
    pub commentary: String,
}

impl Tree {
    /// Reads the files under `root`, leaving out what is not text.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut pending = vec![root.to_owned()];
        while let Some(directory) = pending.pop() {
            let entries = fs::read_dir(&directory)
                .with_context(|| format!("the directory `{}` cannot be read", directory.display()))?;
            for entry in entries {
                let entry = entry?;
                let kind = entry.file_type()?;
                let name = entry.file_name();
                if kind.is_dir() {
                    if !SKIPPED_DIRECTORIES.iter().any(|skipped| name == *skipped) {
                        pending.push(entry.path());
                    }
                } else if kind.is_file() && name != ".git" && entry.metadata()?.len() <= FILE_BYTES_MAX {
                    let relative = entry.path().strip_prefix(root)?.to_string_lossy().into_owned();
                    if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                        files.push(File::new(relative, text));
                    }
                }
            }
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(Self { files })
    }

    /// A tree of the given paths and texts.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files =
            files.iter().map(|(path, text)| File::new((*path).to_owned(), (*text).to_owned())).collect();
        Self { files }
    }

    /// The file at `path`, if there is one.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

impl File {
    /// Takes a text and splits it if it is Rust.
    pub fn new(path: String, text: String) -> Self {
        let (code, commentary) =
            if path.ends_with(".rs") { split(&text) } else { (String::new(), text.clone()) };
        Self { path, text, code, commentary }
    }

    /// Whether this is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file exists only for tests.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.split('/').any(|part| part == "tests" || part == "testkit")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// The code without its `#[cfg(test)] mod … { … }` blocks.
    pub fn shipped_code(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let after = code[start..].find(['{', ';']).map(|offset| start + offset);
            let end = match after {
                Some(open) if code[open..].starts_with('{') => closing_brace(&code, open),
                Some(semicolon) => semicolon + 1,
                None => code.len(),
            };
            let blank = blanked(&code[start..end]);
            code.replace_range(start..end, &blank);
        }
        code
    }
}

/// The line, counted from one, of the byte at `offset`.
pub fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// The offset just after the brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset + 1;
        }
    }
    code.len()
}

/// Spaces of the same length in bytes, with the line breaks kept.
fn blanked(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// Splits Rust into its code and its commentary.
fn split(text: &str) -> (String, String) {
    let mut code = String::with_capacity(text.len());
    let mut commentary = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = token(rest, first, code.chars().next_back());
        let (piece, after) = rest.split_at(length);
        match kind {
            Kind::Code => {
                code.push_str(piece);
                commentary.push_str(&blanked(piece));
            }
            Kind::Comment => {
                code.push_str(&blanked(piece));
                commentary.push_str(piece);
            }
            Kind::Literal => {
                // The ends stay visible, so that a word before the literal and one after it do not join.
                let mut blank = blanked(piece);
                if blank.len() >= 2 {
                    blank.replace_range(..1, "\"");
                    blank.replace_range(blank.len() - 1.., "\"");
                }
                code.push_str(&blank);
                commentary.push_str(&blanked(piece));
            }
        }
        rest = after;
    }
    (code, commentary)
}

enum Kind {
    Code,
    Comment,
    Literal,
}

/// The length in bytes of the next piece of `rest`, and what it is.
fn token(rest: &str, first: char, before: Option<char>) -> (usize, Kind) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Kind::Comment);
    }
    if first == '"' {
        return (quoted(rest), Kind::Literal);
    }
    let starts_word = !before.is_some_and(|character| character.is_alphanumeric() || character == '_');
    if starts_word && (first == 'r' || rest.starts_with("br")) {
        let marks = rest.trim_start_matches(['b', 'r']);
        let hashes = marks.len() - marks.trim_start_matches('#').len();
        if marks[hashes..].starts_with('"') {
            let prefix = rest.len() - marks.len() + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            let length = rest[prefix..].find(&end).map_or(rest.len(), |offset| prefix + offset + end.len());
            return (length, Kind::Literal);
        }
    }
    if first == '\''
        && let Some(length) = character_literal(rest)
    {
        return (length, Kind::Literal);
    }
    (first.len_utf8(), Kind::Code)
}

/// The length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut offset = 0;
    while offset < rest.len() {
        if rest[offset..].starts_with("/*") {
            depth += 1;
            offset += 2;
        } else if rest[offset..].starts_with("*/") {
            depth -= 1;
            offset += 2;
            if depth == 0 {
                return offset;
            }
        } else {
            offset += rest[offset..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string literal with its quotes.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal, or nothing where the quote begins a lifetime.
fn character_literal(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        return rest[2..]
            .char_indices()
            .skip(1)
            .find(|&(_, character)| character == '\'')
            .map(|(at, _)| at + 3);
    }
    let (offset, second) = characters.next()?;
    (second == '\'').then_some(offset + 1)
}
