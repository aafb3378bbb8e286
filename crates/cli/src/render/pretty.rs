//! `serde_json`'s pretty format, byte for byte, with each line's indent written at once.
//!
//! More than a quarter of a manifest is white space (measured), which `serde_json` writes two at a time.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// A line end and the indent of 32 levels; no Kubernetes object is deeper.
const LINE: &[u8; 65] = b"\n                                                                ";

/// See the module.
#[derive(Default)]
pub(super) struct Pretty {
    depth: usize,
    /// Whether the value being written has anything in it.
    filled: bool,
}

impl Pretty {
    fn line(&self, writer: &mut (impl ?Sized + Write)) -> io::Result<()> {
        match LINE.get(..=2 * self.depth) {
            Some(line) => writer.write_all(line),
            None => Err(io::Error::other("nested deeper than 32 levels")),
        }
    }

    fn open(&mut self, writer: &mut (impl ?Sized + Write), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn close(&mut self, writer: &mut (impl ?Sized + Write), bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }

    fn next(&self, writer: &mut (impl ?Sized + Write), first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }
}

impl Formatter for Pretty {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;
    use serde_json::{Serializer, json};

    use super::*;

    #[test]
    fn the_bytes_are_those_of_serde_json() {
        let value = json!({
            "empty": [{}, [], ""], "nested": {"a": [1, {"b": null}], "c": {}}, "text": "a\n\"b\"",
        });
        let mut bytes = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut bytes, Pretty::default())).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            serde_json::to_string_pretty(&value).unwrap()
        );
    }
}
