//! `parse_mode: HTML`, as Telegram reads it: a text, entities over it, and the same safe to show.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A text that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Formatted {
    pub(super) text: String,
    pub(super) entities: Vec<Value>,
    /// HTML of the few tags that are known, with everything else escaped.
    pub(super) html: String,
}

/// A tag that is open.
struct Open {
    name: String,
    /// What stands for it on the page.
    shown: &'static str,
    entity: Option<Value>,
    start: usize,
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    units: usize,
    open: Vec<Open>,
    out: Formatted,
}

/// A text without markup, safe to show.
pub(super) fn plain(text: &str) -> Formatted {
    Formatted { text: text.to_owned(), entities: Vec::new(), html: escape(text) }
}

/// What a browser shows as this text.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        push_safe(&mut safe, c);
    }
    safe
}

/// Reads HTML, or says what is wrong with it in Telegram's words.
pub(super) fn parse(source: &str) -> Result<Formatted, String> {
    let out = Formatted { text: String::new(), entities: Vec::new(), html: String::new() };
    let mut reader = Reader { source, at: 0, units: 0, open: Vec::new(), out };
    reader.read()?;
    if let Some(open) = reader.open.last() {
        return Err(format!("Can't find end tag corresponding to start tag \"{}\"", open.name));
    }
    let mut out = reader.out;
    out.entities.sort_by_key(|entity| entity.get("offset").and_then(Value::as_u64));
    Ok(out)
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '<' => self.tag()?,
                '&' => {
                    let (c, length) = reference(self.rest()).unwrap_or(('&', 1));
                    self.push(c);
                    self.at += length;
                }
                c => {
                    self.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, c: char) {
        self.out.text.push(c);
        self.units += c.len_utf16();
        push_safe(&mut self.out.html, c);
    }

    fn tag(&mut self) -> Result<(), String> {
        let start = self.at;
        let rest = self.rest();
        let end =
            rest.find('>').ok_or_else(|| format!("Unclosed start tag at byte offset {start}"))?;
        let inside = rest.get(1..end).unwrap_or_default().to_owned();
        self.at += end + 1;
        match inside.strip_prefix('/') {
            Some(name) => self.close(name.trim(), start),
            None => self.open(&inside, start),
        }
    }

    fn open(&mut self, inside: &str, at: usize) -> Result<(), String> {
        let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let name = name.to_ascii_lowercase();
        let class = attribute(attributes, "class").unwrap_or_default();
        let nested = self.open.last().is_some_and(|open| open.name == "pre");
        let (shown, entity) = match &*name {
            "b" | "strong" => ("b", json!({ "type": "bold" })),
            "i" | "em" => ("i", json!({ "type": "italic" })),
            "u" | "ins" => ("u", json!({ "type": "underline" })),
            "s" | "strike" | "del" => ("s", json!({ "type": "strikethrough" })),
            "tg-spoiler" => ("mark", json!({ "type": "spoiler" })),
            "span" if class == "tg-spoiler" => ("mark", json!({ "type": "spoiler" })),
            "code" if nested => ("span", Value::Null),
            "code" => ("code", json!({ "type": "code" })),
            "pre" => ("pre", json!({ "type": "pre" })),
            "blockquote" => ("blockquote", json!({ "type": "blockquote" })),
            "tg-emoji" => (
                "span",
                json!({ "type": "custom_emoji", "custom_emoji_id": attribute(attributes, "emoji-id") }),
            ),
            "a" => {
                let url = attribute(attributes, "href").unwrap_or_default();
                (
                    "a",
                    if url.is_empty() {
                        Value::Null
                    } else {
                        json!({ "type": "text_link", "url": url })
                    },
                )
            }
            "span" => {
                return Err(format!(
                    "Tag \"span\" must have class \"tg-spoiler\" at byte offset {at}"
                ));
            }
            _ => return Err(format!("Unsupported start tag \"{name}\" at byte offset {at}")),
        };
        match entity.get("url").and_then(Value::as_str).filter(|url| url.starts_with("http")) {
            Some(url) => {
                // Writing to memory cannot fail.
                let _ = write!(
                    self.out.html,
                    r#"<a href="{}" target="_blank" rel="noopener noreferrer">"#,
                    escape(url)
                );
            }
            None => {
                let _ = write!(self.out.html, "<{shown}>");
            }
        }
        let entity = Some(entity).filter(|entity| !entity.is_null());
        self.open.push(Open { name, shown, entity, start: self.units });
        Ok(())
    }

    fn close(&mut self, name: &str, at: usize) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Err(format!("Unexpected end tag at byte offset {at}"));
        };
        if !name.is_empty() && !name.eq_ignore_ascii_case(&open.name) {
            let expected = open.name;
            return Err(format!(
                "Unmatched end tag at byte offset {at}, expected \"</{expected}>\", found \"</{name}>\""
            ));
        }
        let _ = write!(self.out.html, "</{}>", open.shown);
        let length = self.units - open.start;
        if let (Some(mut entity), 1..) = (open.entity, length) {
            super::person::merge(&mut entity, json!({ "offset": open.start, "length": length }));
            self.out.entities.push(entity);
        }
        Ok(())
    }
}

/// The character that a reference at the start of a text stands for, and the bytes of the reference.
fn reference(text: &str) -> Option<(char, usize)> {
    let end = text.find(';').filter(|end| *end < 12)?;
    let name = text.get(1..end)?;
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    let c = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => char::from_u32(number?)?,
    };
    Some((c, end + 1))
}

/// The value of an attribute in double quotes, in single ones or in none.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let start = attributes.find(&format!("{name}="))? + name.len() + 1;
    let rest = attributes.get(start..)?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
        _ => rest.split(char::is_whitespace).next()?,
    };
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}

fn push_safe(safe: &mut String, c: char) {
    match c {
        '<' => safe.push_str("&lt;"),
        '>' => safe.push_str("&gt;"),
        '&' => safe.push_str("&amp;"),
        '"' => safe.push_str("&quot;"),
        '\'' => safe.push_str("&#39;"),
        c => safe.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_entities_counted_in_utf16() {
        let read =
            parse(r#"😀 <b>olá <i>você</i></b> &lt;<a href="https://x/?a=1&amp;b">aqui</a>"#)
                .unwrap();
        assert_eq!(read.text, "😀 olá você <aqui");
        assert_eq!(
            read.entities,
            [
                json!({"type": "bold", "offset": 3, "length": 8}),
                json!({"type": "italic", "offset": 7, "length": 4}),
                json!({"type": "text_link", "url": "https://x/?a=1&b", "offset": 13, "length": 4}),
            ]
            .to_vec()
        );
        assert!(read.html.contains("<b>olá <i>você</i></b> &lt;<a href=\"https://x/?a=1&amp;b\""));
    }

    #[test]
    fn bad_markup_is_refused_in_telegrams_words() {
        for (text, complaint) in [
            ("<b>a", "Can't find end tag corresponding to start tag \"b\""),
            ("<script>a</script>", "Unsupported start tag \"script\" at byte offset 0"),
            ("a<b>x</i>", "Unmatched end tag at byte offset 5, expected \"</b>\", found \"</i>\""),
            ("a</b>", "Unexpected end tag at byte offset 1"),
            ("1 < 2", "Unclosed start tag at byte offset 2"),
        ] {
            assert_eq!(parse(text), Err(complaint.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_script() {
        let read =
            parse(r#"<a href="javascript:alert(1)">x</a><b>"&lt;img src=x onerror=1&gt;"</b>"#)
                .unwrap();
        assert_eq!(read.html, "<a>x</a><b>&quot;&lt;img src=x onerror=1&gt;&quot;</b>");
    }
}
