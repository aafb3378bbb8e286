//! Multipart bodies: parameters first, then files, which stay in the stream until they are sent on.

use std::{collections::BTreeSet, fmt, task::Poll};

use bytes::Bytes;
use futures::{Stream, stream};
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::Value;

use super::{MAX_UPLOAD, Params};
use crate::{Refusal, shape::is_part_name};

/// The files of a call that are still to come.
pub(crate) struct Files {
    rest: Multipart<'static>,
    first: File,
}

/// A file whose head is read.
struct File {
    name: String,
    head: Bytes,
    field: Field<'static>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("first", &self.first.name).finish_non_exhaustive()
    }
}

/// Reads the parameters up to the first file.
pub(super) async fn read<S, E>(
    stream: S,
    boundary: String,
    params: &mut Params,
    left: &mut usize,
) -> Result<(), Refusal>
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let stream = one_at_a_time(stream);
    let limit = Constraints::new().size_limit(SizeLimit::new().whole_stream(MAX_UPLOAD));
    let mut rest = Multipart::with_constraints(stream, boundary, limit);
    while let Some(mut field) = rest.next_field().await.map_err(broken)? {
        if field.file_name().is_some() {
            let first = File::new(field)?;
            params.files = Some(Files { rest, first });
            return Ok(());
        }
        let name = field.name().ok_or(Refusal::Body)?.to_owned();
        let charset = field.content_type().and_then(|kind| kind.get_param("charset"));
        if charset.is_some_and(|charset| charset != "utf-8") {
            return Err(Refusal::Charset);
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            *left = left.checked_sub(chunk.len()).ok_or(Refusal::TooLong)?;
            text.extend_from_slice(&chunk);
        }
        *left = left.checked_sub(name.len()).ok_or(Refusal::TooLong)?;
        params.add(name, Value::String(String::from_utf8(text).map_err(|_| Refusal::Charset)?))?;
    }
    Ok(())
}

/// The same stream, of which one poll of the parser takes one chunk: it would take all that there
/// are, and a fast client's whole file would be in memory.
fn one_at_a_time<S: Stream>(stream: S) -> impl Stream<Item = S::Item> {
    let mut stream = Box::pin(stream);
    let mut rests = false;
    stream::poll_fn(move |context| {
        if std::mem::take(&mut rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = stream.as_mut().poll_next(context);
        rests = matches!(next, Poll::Ready(Some(_)));
        next
    })
}

impl File {
    fn new(field: Field<'static>) -> Result<Self, Refusal> {
        let name = field.name().filter(|name| is_part_name(name)).ok_or(Refusal::Body)?.to_owned();
        // What would end the quotes or the line; any other character is the person's.
        let odd = |c: char| c.is_control() || matches!(c, '"' | '\\' | ';');
        let file_name: String = field
            .file_name()
            .unwrap_or("file")
            .chars()
            .map(|c| if odd(c) { '_' } else { c })
            .collect();
        let kind =
            field.content_type().map_or("application/octet-stream", |kind| kind.essence_str());
        let head = format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: {kind}\r\n\r\n"
        );
        Ok(Self { name, head: head.into(), field })
    }
}

impl Files {
    /// The parts from here to the closing boundary. The stream fails, so that the call is never
    /// whole, at a file that is not in `expected`, at one that comes twice, at a parameter, and
    /// where the client leaves.
    pub(crate) fn into_parts(
        self,
        boundary: String,
        expected: BTreeSet<String>,
    ) -> impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static {
        let Self { rest, first } = self;
        let state = State { rest, next: Next::File(first), boundary, expected };
        stream::try_unfold(state, State::step)
    }
}

struct State {
    rest: Multipart<'static>,
    next: Next,
    boundary: String,
    /// Files that may still come.
    expected: BTreeSet<String>,
}

/// What is to be sent.
enum Next {
    File(File),
    Content(Field<'static>),
    Nothing,
}

impl State {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, Refusal> {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => Ok(None),
            Next::File(File { name, head, field }) => {
                if !self.expected.remove(&name) {
                    return Err(Refusal::File(name));
                }
                self.next = Next::Content(field);
                let mut bytes = Vec::from(format!("--{}\r\n", self.boundary));
                bytes.extend_from_slice(&head);
                Ok(Some((bytes.into(), self)))
            }
            Next::Content(mut field) => {
                let Some(chunk) = field.chunk().await.map_err(broken)? else {
                    // The parser has one field at a time.
                    drop(field);
                    return self.end_of_file().await.map(Some);
                };
                self.next = Next::Content(field);
                Ok(Some((chunk, self)))
            }
        }
    }

    async fn end_of_file(mut self) -> Result<(Bytes, Self), Refusal> {
        match self.rest.next_field().await.map_err(broken)? {
            None => Ok((format!("\r\n--{}--\r\n", self.boundary).into(), self)),
            Some(field) if field.file_name().is_none() => {
                Err(Refusal::Late(field.name().unwrap_or_default().to_owned()))
            }
            Some(field) => {
                self.next = Next::File(File::new(field)?);
                Ok((Bytes::from_static(b"\r\n"), self))
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what fails gives it away")]
fn broken(error: multer::Error) -> Refusal {
    match error {
        multer::Error::StreamSizeExceeded { .. } => Refusal::TooLong,
        multer::Error::StreamReadFailed(_)
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => Refusal::Cut,
        _ => Refusal::Body,
    }
}
