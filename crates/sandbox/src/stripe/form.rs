//! Forms as Stripe reads them: `items[0][price]=price_1&expand[]=customer`.

use std::{collections::BTreeMap, str::FromStr};

use super::error::Error;

/// The parameters of a request, or of a part of one; each is taken once, and what nobody takes is
/// refused, so that nothing is ignored by mistake.
#[derive(Debug, Default)]
pub(super) struct Params {
    /// The name of the part, empty for the whole.
    path: String,
    fields: BTreeMap<String, Node>,
}

#[derive(Debug)]
enum Node {
    Text(String),
    Fields(BTreeMap<String, Node>),
}

impl Params {
    /// Reads a query or a body.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut fields = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            let (first, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
            let keys = rest.split('[').skip(1).map(|key| key.trim_end_matches(']'));
            insert(&mut fields, first, keys, decode(value)?)
                .ok_or_else(|| Error::parameter(&name, "parameter_invalid", "Invalid nesting"))?;
        }
        Ok(Self { path: String::new(), fields })
    }

    fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}[{field}]", self.path) }
    }

    /// A text; an empty one counts as given.
    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, Error> {
        match self.fields.remove(field) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(Node::Fields(_)) => Err(self.invalid(field, "Invalid string")),
        }
    }

    /// Whether it is a text, not an object.
    pub(super) fn is_text(&self, field: &str) -> bool {
        matches!(self.fields.get(field), Some(Node::Text(_)))
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, field: &str) -> Result<String, Error> {
        let text = self.text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Error::missing(&self.name(field)))
    }

    /// A number, a switch, or one of Stripe's words.
    pub(super) fn one<T: FromStr>(&mut self, field: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let value = text.parse();
        value.map(Some).map_err(|_| self.invalid(field, &format!("Invalid {field}: {text}")))
    }

    /// A part of the form.
    pub(super) fn within<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self.fields.remove(field) {
            None => Ok(None),
            // How an emptied object arrives.
            Some(Node::Text(text)) if text.is_empty() => Ok(None),
            Some(Node::Text(_)) => Err(self.invalid(field, "Invalid object")),
            Some(Node::Fields(fields)) => {
                let mut part = Self { path: self.name(field), fields };
                let value = read(&mut part)?;
                part.finish()?;
                Ok(Some(value))
            }
        }
    }

    /// The parts of a list, in order; none if it is absent.
    pub(super) fn each<T>(
        &mut self,
        field: &str,
        mut read: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        self.within(field, |list| {
            let mut places: Vec<String> = list.fields.keys().cloned().collect();
            places.sort_by_key(|place| place.parse::<usize>().unwrap_or(usize::MAX));
            let mut read = |place: &String| list.within(place, &mut read);
            places.iter().filter_map(|place| read(place).transpose()).collect()
        })
    }

    /// The texts of a list, in order.
    pub(super) fn texts(&mut self, field: &str) -> Result<Vec<String>, Error> {
        let texts = self.within(field, |list| {
            let mut places: Vec<String> = list.fields.keys().cloned().collect();
            places.sort_by_key(|place| place.parse::<usize>().unwrap_or(usize::MAX));
            places.iter().map(|place| Ok(list.text(place)?.unwrap_or_default())).collect()
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// Names and texts, whatever the names are.
    pub(super) fn pairs(&mut self, field: &str) -> Result<BTreeMap<String, String>, Error> {
        let pairs = self.within(field, |part| {
            let names: Vec<String> = part.fields.keys().cloned().collect();
            let pair = |name: String| Ok((name.clone(), part.text(&name)?.unwrap_or_default()));
            names.into_iter().map(pair).collect()
        })?;
        Ok(pairs.unwrap_or_default())
    }

    /// Drops what makes no difference to a stand-in.
    pub(super) fn ignore(&mut self, fields: &[&str]) {
        for field in fields {
            self.fields.remove(*field);
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let Some(field) = self.fields.keys().next() else { return Ok(()) };
        let name = self.name(field);
        let message = format!("Received unknown parameter: {name}");
        Err(Error::parameter(&name, "parameter_unknown", message))
    }

    fn invalid(&self, field: &str, message: &str) -> Error {
        Error::parameter(&self.name(field), "parameter_invalid", message)
    }
}

/// None if a name is a text and an object at once.
fn insert<'a>(
    fields: &mut BTreeMap<String, Node>,
    name: &str,
    mut rest: impl Iterator<Item = &'a str>,
    value: String,
) -> Option<()> {
    let name = if name.is_empty() { fields.len().to_string() } else { name.to_owned() };
    let Some(next) = rest.next() else {
        return fields.insert(name, Node::Text(value)).is_none().then_some(());
    };
    match fields.entry(name).or_insert_with(|| Node::Fields(BTreeMap::new())) {
        // Boxed, or the type of the iterator would be endless.
        Node::Fields(inner) => {
            insert(inner, next, Box::new(rest) as Box<dyn Iterator<Item = &str>>, value)
        }
        Node::Text(_) => None,
    }
}

/// `+` and percent signs.
fn decode(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte.unwrap_or_default()).to_digit(16);
                let pair = (digit(rest.next()), digit(rest.next()));
                let (Some(high), Some(low)) = pair else {
                    return Err(Error::invalid("Invalid percent-encoding"));
                };
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid("Invalid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_objects_and_lists() {
        let mut params = Params::parse(
            "items%5B0%5D[price]=p&items[0][quantity]=2&expand[]=a&expand[]=b.c\
             &metadata[x]=y+z%C3%A9",
        )
        .unwrap();
        let items =
            params.each("items", |item| Ok((item.required("price")?, item.one("quantity")?)));
        assert_eq!(items.unwrap().unwrap(), [("p".to_owned(), Some(2))]);
        assert_eq!(params.texts("expand").unwrap(), ["a", "b.c"]);
        assert_eq!(params.pairs("metadata").unwrap()["x"], "y zé");
        params.finish().unwrap();
    }

    #[test]
    fn what_nobody_takes_is_refused_by_its_whole_name() {
        let mut params = Params::parse("a[b]=1&a[c]=2").unwrap();
        let error = params.within("a", |part| part.text("b")).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("a[c]"));
        assert_eq!(error.code, Some("parameter_unknown"));
    }

    #[test]
    fn more_than_ten_of_a_list_keep_their_order() {
        let text: Vec<String> = (0..12).map(|n| format!("x[{n}]={n}")).collect();
        let texts = Params::parse(&text.join("&")).unwrap().texts("x").unwrap();
        assert_eq!(texts, (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_name_that_is_text_and_object_is_refused() {
        assert!(Params::parse("a=1&a[b]=2").is_err());
        assert!(Params::parse("a=%zz").is_err());
    }
}
