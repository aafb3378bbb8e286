//! Queries and forms, read strictly: a broken escape is refused instead of kept.

use crate::Refusal;

/// The names and values of `a=b&c=d`.
pub(super) fn pairs(bytes: &[u8]) -> impl Iterator<Item = Result<(String, String), Refusal>> {
    bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(sides.next().unwrap_or_default())?;
        Ok((name, decode(sides.next().unwrap_or_default())?))
    })
}

fn decode(text: &[u8]) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = rest.next().and_then(digit).zip(rest.next().and_then(digit));
                let (high, low) = digits.ok_or(Refusal::Body)?;
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Refusal::Charset)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Refusal> {
        pairs(text.as_bytes()).collect()
    }

    #[test]
    fn escapes_are_read_and_broken_ones_refused() {
        let owned = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            read("a=b+c%2Bd&&%61b=%C3%A7&x"),
            Ok(vec![owned("a", "b c+d"), owned("ab", "ç"), owned("x", ""),])
        );
        for (text, refusal) in [
            ("a=%4", Refusal::Body),
            ("a=%zz", Refusal::Body),
            ("a=%+1", Refusal::Body),
            ("a=%ff", Refusal::Charset),
        ] {
            assert_eq!(read(text), Err(refusal), "{text}");
        }
    }
}
