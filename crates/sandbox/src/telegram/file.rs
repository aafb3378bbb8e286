//! Files.

use serde_json::{Value, json};

use super::state::{State, StoredFile, Upload};

impl State {
    /// Keeps a file; gives what a message says about it: a list of sizes for a photo.
    pub(super) fn store(&mut self, kind: &str, upload: Upload) -> Value {
        let number = self.files.len();
        let id = format!("BQAC{}", self.draw.text(60));
        let extension = extension(kind, &upload);
        let (folder, name) = (format!("{kind}s"), format!("file_{number}{extension}"));
        let file = StoredFile {
            path: format!("{folder}/{name}"),
            name: upload.name,
            kind: upload.kind,
            bytes: upload.bytes,
        };
        let description = describe(kind, &id, &file);
        self.files.insert(id, file);
        description
    }

    /// What a message says about a file that is there already.
    pub(super) fn describe(&self, kind: &str, id: &str) -> Option<Value> {
        self.files.get(id).map(|file| describe(kind, id, file))
    }
}

fn describe(kind: &str, id: &str, file: &StoredFile) -> Value {
    let unique: String = id.chars().skip(4).take(15).collect();
    let size = file.bytes.len();
    let base = json!({ "file_id": id, "file_unique_id": unique, "file_size": size });
    let more = match kind {
        "photo" | "live_photo" => {
            let (width, height) = dimensions(&file.bytes).unwrap_or((640, 480));
            json!({ "width": width, "height": height })
        }
        "video" | "animation" => {
            json!({ "width": 640, "height": 480, "duration": 1, "file_name": file.name, "mime_type": file.kind })
        }
        "voice" => json!({ "duration": 1, "mime_type": file.kind }),
        "video_note" => json!({ "length": 240, "duration": 1 }),
        "audio" => json!({ "duration": 1, "file_name": file.name, "mime_type": file.kind }),
        "sticker" => {
            json!({ "type": "regular", "width": 512, "height": 512, "is_animated": false, "is_video": false })
        }
        _ => json!({ "file_name": file.name, "mime_type": file.kind }),
    };
    let mut whole = base;
    super::person::merge(&mut whole, more);
    if kind == "photo" { json!([whole]) } else { whole }
}

/// The width and height of a PNG.
fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |range| {
        Some(u32::from_be_bytes(header.get::<std::ops::Range<usize>>(range)?.try_into().ok()?))
    };
    Some((number(8..12)?, number(12..16)?))
}

fn extension(kind: &str, upload: &Upload) -> String {
    let own = upload.name.rsplit_once('.').map(|(_, extension)| extension);
    let own =
        own.filter(|own| own.len() < 8 && own.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    match (own, kind) {
        (Some(own), _) => format!(".{own}"),
        (None, "photo") => ".jpg".to_owned(),
        (None, "voice") => ".oga".to_owned(),
        (None, _) => String::new(),
    }
}
