//! The parameters of a call in all four encodings, read as leniently as Telegram does: of two of one
//! name the first counts.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream;
use multer::Multipart;
use serde_json::Value;

use super::state::Upload;

/// The parameters of a call.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, String>,
    pub(super) files: BTreeMap<String, Upload>,
}

impl Params {
    /// Reads the query and the body.
    pub(super) async fn read(kind: &str, query: &str, body: Bytes) -> Result<Self, &'static str> {
        let mut params = Self::default();
        params.form(query.as_bytes())?;
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/json" => params.json(&body)?,
            "multipart/form-data" => params.multipart(kind, body).await?,
            "application/x-www-form-urlencoded" => params.form(&body)?,
            _ => {}
        }
        Ok(params)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    pub(super) fn truth(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "true" | "True" | "1" | "yes"))
    }

    /// A parameter that is JSON.
    pub(super) fn value(&self, name: &str) -> Result<Option<Value>, String> {
        let parse = |text| {
            serde_json::from_str(text).map_err(|_| format!("can't parse {name} JSON object"))
        };
        self.get(name).map(parse).transpose()
    }

    /// All of them, for the log.
    pub(super) fn log(&self) -> Value {
        let values = self.values.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        let files = self
            .files
            .iter()
            .map(|(name, file)| (name.clone(), format!("{} bytes", file.bytes.len()).into()));
        values.chain(files).collect::<serde_json::Map<String, Value>>().into()
    }

    fn add(&mut self, name: String, value: String) {
        self.values.entry(name).or_insert(value);
    }

    fn form(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_bytes(bytes).map_err(|_| "can't parse the form")?;
        for (name, value) in pairs {
            self.add(name, value);
        }
        Ok(())
    }

    fn json(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Ok(Value::Object(object)) = serde_json::from_slice(bytes) else {
            return Err("can't parse JSON object");
        };
        for (name, value) in object {
            match value {
                Value::Null => {}
                Value::String(text) => self.add(name, text),
                value => self.add(name, value.to_string()),
            }
        }
        Ok(())
    }

    async fn multipart(&mut self, kind: &str, body: Bytes) -> Result<(), &'static str> {
        let broken = |_| "can't parse the multipart body";
        let boundary = multer::parse_boundary(kind).map_err(broken)?;
        let stream = stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
        let mut parts = Multipart::new(stream, boundary);
        while let Some(field) = parts.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            let kind = field.content_type().map(ToString::to_string);
            let file_name = field.file_name().map(str::to_owned);
            let bytes = field.bytes().await.map_err(broken)?;
            if let Some(file_name) = file_name {
                let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
                self.files.insert(name, Upload { name: file_name, kind, bytes });
            } else {
                let text = String::from_utf8(bytes.to_vec());
                self.add(name, text.map_err(|_| "strings must be encoded in UTF-8")?);
            }
        }
        Ok(())
    }
}
