//! A walk over JSON text: every value with its place, nothing copied, nothing built.
//!
//! It accepts exactly what RFC 8259 allows (checked against `serde_json` by a property test and a
//! fuzz target), in one pass over the bytes.

use std::ops::Range;

/// How deep a document may be nested; `serde_json` allows as much.
const MAX_DEPTH: usize = 127;

/// One value, or one edge of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// The name of a member of an object.
    Key,
    /// A text, with its quotes.
    Text,
    /// A number, `true`, `false` or `null`.
    Scalar,
}

/// The text is not JSON; the place is where that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Bytes from the start.
    pub(crate) at: usize,
}

/// The containers around a value, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Path<'a> {
    names: Vec<(&'a str, bool)>,
    key: &'a str,
}

impl<'a> Path<'a> {
    /// The name of the value itself; `*` in an array, nothing for the document.
    pub(crate) fn name(&self) -> &'a str {
        match self.names.last() {
            Some((_, true)) => self.key,
            Some((_, false)) => "*",
            None => "",
        }
    }

    /// How many containers are around it.
    pub(crate) fn depth(&self) -> usize {
        self.names.len()
    }

    /// Whether the containers have these names, the document left out.
    pub(crate) fn is(&self, names: &[&str]) -> bool {
        self.names.len() == names.len() + 1
            && self.names.iter().skip(1).map(|(name, _)| name).eq(names)
    }
}

/// Walks `text` like [`walk`], and knows where in the document it is. Names are as written: with
/// their escapes.
pub(crate) fn walk_paths<'a>(
    text: &'a str,
    mut visit: impl FnMut(&Path<'a>, Token, Range<usize>),
) -> Result<(), Malformed> {
    let mut path = Path { names: Vec::with_capacity(8), key: "" };
    walk(text, |token, at| match token {
        Token::Open => {
            let start = at.start;
            visit(&path, token, at);
            let object = text.as_bytes().get(start) == Some(&b'{');
            path.names.push((path.name(), object));
        }
        Token::Close => {
            if let Some((name, _)) = path.names.pop() {
                path.key = name;
            }
            visit(&path, token, at);
        }
        Token::Key => {
            path.key = text.get(at.start + 1..at.end - 1).unwrap_or_default();
            visit(&path, token, at);
        }
        Token::Text | Token::Scalar => visit(&path, token, at),
    })
}

/// Walks `text` and shows each token, with the bytes it takes, to `visit`.
///
/// The text must be UTF-8.
pub(crate) fn walk(
    text: &str,
    mut visit: impl FnMut(Token, Range<usize>),
) -> Result<(), Malformed> {
    Walk { bytes: text.as_bytes(), at: 0 }.document(&mut visit)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// After `[`.
    ValueOrClose,
    /// After `{`.
    KeyOrClose,
    /// After a comma in an object.
    Key,
    /// After a value.
    CommaOrClose,
}

/// Which brackets are open: one bit each, set for objects.
#[derive(Default)]
struct Brackets {
    objects: u128,
    depth: usize,
}

impl Brackets {
    fn open(&mut self, object: bool) -> bool {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        self.depth <= MAX_DEPTH
    }

    fn close(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

impl Walk<'_> {
    fn document(&mut self, visit: &mut impl FnMut(Token, Range<usize>)) -> Result<(), Malformed> {
        let mut brackets = Brackets::default();
        let mut expect = Expect::Value;
        loop {
            let byte = self.next_byte();
            let start = self.at;
            match (byte, expect) {
                (Some(b'{' | b'['), Expect::Value | Expect::ValueOrClose) => {
                    let object = byte == Some(b'{');
                    if !brackets.open(object) {
                        return self.malformed();
                    }
                    self.at += 1;
                    visit(Token::Open, start..self.at);
                    expect = if object { Expect::KeyOrClose } else { Expect::ValueOrClose };
                    continue;
                }
                (Some(b'"'), Expect::Value | Expect::ValueOrClose) => {
                    self.text()?;
                    visit(Token::Text, start..self.at);
                }
                (Some(b'"'), Expect::Key | Expect::KeyOrClose) => {
                    self.text()?;
                    visit(Token::Key, start..self.at);
                    if self.next_byte() != Some(b':') {
                        return self.malformed();
                    }
                    self.at += 1;
                    expect = Expect::Value;
                    continue;
                }
                (Some(b'}'), Expect::KeyOrClose) | (Some(b']'), Expect::ValueOrClose) => {
                    self.close(&mut brackets, visit);
                }
                (Some(close @ (b'}' | b']')), Expect::CommaOrClose)
                    if brackets.in_object() == (close == b'}') =>
                {
                    self.close(&mut brackets, visit);
                }
                (Some(b','), Expect::CommaOrClose) => {
                    self.at += 1;
                    expect = if brackets.in_object() { Expect::Key } else { Expect::Value };
                    continue;
                }
                (Some(_), Expect::Value | Expect::ValueOrClose) => {
                    self.scalar()?;
                    visit(Token::Scalar, start..self.at);
                }
                _ => return self.malformed(),
            }
            // A value has ended.
            if brackets.depth == 0 {
                return if self.next_byte().is_none() { Ok(()) } else { self.malformed() };
            }
            expect = Expect::CommaOrClose;
        }
    }

    fn close(&mut self, brackets: &mut Brackets, visit: &mut impl FnMut(Token, Range<usize>)) {
        brackets.close();
        self.at += 1;
        visit(Token::Close, self.at - 1..self.at);
    }

    fn malformed<T>(&self) -> Result<T, Malformed> {
        Err(Malformed { at: self.at })
    }

    /// The next byte that is no white space; stays at it.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn text(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let end = plain(rest);
            self.at += end;
            match rest.get(end) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return self.malformed(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(self.at + 2) {
                // A surrogate means something only as half of a pair.
                Some(0xd800..=0xdbff) => {
                    let low = self.bytes.get(self.at + 6..self.at + 8) == Some(b"\\u");
                    match self.unit(self.at + 8) {
                        Some(0xdc00..=0xdfff) if low => self.at += 12,
                        _ => return self.malformed(),
                    }
                }
                Some(0xdc00..=0xdfff) | None => return self.malformed(),
                Some(_) => self.at += 6,
            },
            _ => return self.malformed(),
        }
        Ok(())
    }

    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self.bytes.get(at..at + 4)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    fn scalar(&mut self) -> Result<(), Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.malformed() }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// How many bytes at the front of `text` mean themselves, eight at a time: most of a request is text.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // A byte is zero in `x` where this has its high bit set (the lowest such bit is exact).
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let (words, _) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (quote | backslash | control) & HIGH;
        if special != 0 {
            return index * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let tail = words.len() * 8;
    let rest = text.get(tail..).unwrap_or_default();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    tail + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn accepted(text: &str) -> bool {
        walk(text, |_, _| ()).is_ok()
    }

    #[test]
    fn tokens_come_in_order_with_their_places() {
        use Token::{Close, Key, Open, Scalar, Text};
        let text = r#" {"a": [1, "x\"y", true], "b": {}} "#;
        let mut seen = Vec::new();
        walk(text, |token, range| seen.push((token, &text[range]))).unwrap();
        assert_eq!(
            seen,
            [
                (Open, "{"),
                (Key, "\"a\""),
                (Open, "["),
                (Scalar, "1"),
                (Text, r#""x\"y""#),
                (Scalar, "true"),
                (Close, "]"),
                (Key, "\"b\""),
                (Open, "{"),
                (Close, "}"),
                (Close, "}"),
            ]
        );
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(accepted(&nested(127)));
        assert!(!accepted(&nested(128)));
        assert!(!accepted(&nested(1_000_000)));
    }

    /// Text that is nearly JSON.
    fn nearly() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"a\":",
            "1",
            "-0",
            "01",
            "1.5",
            "1.",
            "1e5",
            "1e",
            "-",
            "true",
            "tru",
            "null",
            " ",
            "\n",
            "\\",
            "\\u0041",
            "\\ud800",
            "\\ud83d\\ude00",
            "\u{7f}",
            "\u{1}",
            "é",
            "\"\\n\"",
            "\"\\x\"",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn plain_text_ends_at_the_first_special_byte(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            prop_assert_eq!(plain(&text), text.iter().position(special).unwrap_or(text.len()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn it_accepts_what_serde_json_accepts(text in nearly()) {
            // A raw value is checked, not converted: no number is too large for it.
            let raw = serde_json::from_str::<&RawValue>(&text).is_ok();
            let value = serde_json::from_str::<serde_json::Value>(&text);
            let expected =
                raw && value.map_or_else(|error| error.to_string().contains("out of range"), |_| true);
            prop_assert_eq!(accepted(&text), expected, "{}", text);
        }
    }
}
