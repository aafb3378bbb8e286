//! Pages of lists, newest first.

use serde_json::{Value, json};

use super::{
    engine::{Engine, Entity},
    error::Error,
    form::Params,
    shape::Shape,
};

/// Which part of a list is asked for.
struct Range {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
    /// The first and the last second.
    created: (i64, i64),
}

impl Range {
    fn take(params: &mut Params) -> Result<Self, Error> {
        let limit: usize = params.one("limit")?.unwrap_or(10);
        if !(1..=100).contains(&limit) {
            let message = "This value must be between 1 and 100.";
            return Err(Error::parameter("limit", "parameter_invalid_integer", message));
        }
        let (after, before) = (params.text("starting_after")?, params.text("ending_before")?);
        Ok(Self { limit, after, before, created: created(params)? })
    }
}

/// `created=5` or `created[gte]=5&created[lt]=9`.
fn created(params: &mut Params) -> Result<(i64, i64), Error> {
    if params.is_text("created")
        && let Some(at) = params.one("created")?
    {
        return Ok((at, at));
    }
    let bounds = params.within("created", |part| {
        let (gt, gte) = (part.one::<i64>("gt")?, part.one::<i64>("gte")?);
        let (lt, lte) = (part.one::<i64>("lt")?, part.one::<i64>("lte")?);
        let first = gt.map(|at| at + 1).into_iter().chain(gte).max();
        let last = lt.map(|at| at - 1).into_iter().chain(lte).min();
        Ok((first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX)))
    })?;
    Ok(bounds.unwrap_or((i64::MIN, i64::MAX)))
}

/// A row of a list.
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) created: i64,
    pub(super) json: Box<dyn Fn() -> Value + 'a>,
}

/// A page of the objects of a kind that are wanted.
pub(super) fn page<T: Entity>(
    engine: &Engine,
    params: &mut Params,
    shape: Shape,
    url: &str,
    wanted: impl Fn(&T) -> bool,
) -> Result<Value, Error> {
    let rows = engine.all::<T>().filter(|row| wanted(row)).map(|row| Row {
        id: row.id(),
        created: row.created(),
        json: Box::new(move || std::sync::Arc::clone(row).snapshot().json(shape)),
    });
    page_of(rows, params, url)
}

/// A page of rows that come oldest first.
pub(super) fn page_of<'a>(
    rows: impl DoubleEndedIterator<Item = Row<'a>>,
    params: &mut Params,
    url: &str,
) -> Result<Value, Error> {
    let range = Range::take(params)?;
    params.finish()?;
    let (first, last) = range.created;
    let mut rows = rows.filter(|row| (first..=last).contains(&row.created));
    let mut data: Vec<Row<'a>> = Vec::new();
    let more = if let Some(id) = &range.before {
        if !rows.any(|row| row.id == id) {
            return Err(Error::no_such("object", id).of("ending_before"));
        }
        data.extend(rows.by_ref().take(range.limit));
        data.reverse();
        rows.next().is_some()
    } else {
        let mut rows = rows.rev();
        if let Some(id) = &range.after
            && !rows.any(|row| row.id == id)
        {
            return Err(Error::no_such("object", id).of("starting_after"));
        }
        data.extend(rows.by_ref().take(range.limit));
        rows.next().is_some()
    };
    let data: Vec<Value> = data.iter().map(|row| (row.json)()).collect();
    Ok(json!({ "object": "list", "data": data, "has_more": more, "url": url }))
}
