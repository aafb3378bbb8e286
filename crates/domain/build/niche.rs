//! A niche is one folder: what is said of it, its prompt files in every language, its conversations.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use super::{Findings, Id};

const FOLDER: &str = "niches";
const LOCALES: [&str; 2] = ["pt-BR", "en"];
/// Conversations in all, and in each language.
const CONVERSATIONS: (usize, usize) = (20, 5);

/// The prompt files, what belongs into each, and what each must have.
const PROMPTS: [(&str, &str, &[&str]); 3] = [
    ("SOUL.md", "who the agent is and how it speaks", &[]),
    (
        "AGENTS.md",
        "what the agent does and never does, its guard rules and its tools",
        &["{% for rule in niche.guard_rules", "\n## Tools\n"],
    ),
    ("IDENTITY.md", "what is particular to one tenant", &["{{ tenant.id }}"]),
];

/// Fields with one text, and those with several: how many at least, and at most.
const TEXTS: [(&str, &str); 3] = [
    ("title", "its name for customers"),
    ("pitch", "one line that sells it"),
    ("description", "what it does, in a few sentences"),
];
const LISTS: [(&str, &str, usize, usize); 2] = [
    ("guardRules", "what the trade demands of every answer", 5, usize::MAX),
    ("examples", "requests that a customer may start with", 6, 6),
];
const NAMES: [(&str, &str); 2] = [
    ("tools", "the tools that its agent may use"),
    ("connections", "the providers that make it more useful, or []"),
];

/// The niches by the names of their folders.
pub(super) fn read(folder: &Path, findings: &mut Findings) -> Vec<Id> {
    let names = entries(&folder.join(FOLDER));
    if names.is_empty() {
        findings.add(FOLDER, "has no niche: add a folder");
    }
    names.into_iter().map(|name| niche(folder, name, findings)).collect()
}

fn niche(folder: &Path, name: String, findings: &mut Findings) -> Id {
    let path = format!("{FOLDER}/{name}");
    findings.name(&path, &name);
    let known = ["niche.json", "conversations.json"];
    for entry in entries(&folder.join(&path)) {
        if !known.iter().chain(&LOCALES).any(|known| *known == entry) {
            findings.add(&format!("{path}/{entry}"), "is not read: is its name a slip?");
        }
    }
    let summary = about(folder, &format!("{path}/niche.json"), findings);
    prompts(folder, &path, findings);
    conversations(folder, &format!("{path}/conversations.json"), findings);
    Id { name, summary }
}

/// What is there, without hidden files, in order.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: BTreeSet<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.into_iter().filter(|name| !name.starts_with('.')).collect()
}

fn about(folder: &Path, path: &str, findings: &mut Findings) -> String {
    let what = "summary, title, pitch, description, tools, connections, guard rules and examples";
    let Some(niche) = findings.json::<Value>(folder, path, what) else { return String::new() };
    for (field, what) in TEXTS {
        text(path, field, what, field_of(&niche, field), findings);
    }
    for (field, what, least, most) in LISTS {
        let texts = field_of(&niche, field).as_array().map_or(&[][..], Vec::as_slice);
        let count = texts.len();
        if count < least || count > most {
            let wanted = if least == most { "exactly" } else { "at least" };
            let message = format!("has {count} of \"{field}\": add {wanted} {least}, {what}");
            findings.add(path, message);
        }
        for (index, value) in texts.iter().enumerate() {
            text(path, &format!("{field}/{index}"), what, value, findings);
        }
    }
    for (field, what) in NAMES.into_iter().filter(|(field, _)| !field_of(&niche, field).is_array())
    {
        findings.add(path, format!("has no \"{field}\": add {what}"));
    }
    findings.summary(path, niche.get("summary"))
}

/// A field, or nothing.
fn field_of<'a>(value: &'a Value, field: &str) -> &'a Value {
    value.get(field).unwrap_or(&Value::Null)
}

/// A text in every language. One that is the same in both was not translated, but for a name.
fn text(path: &str, field: &str, what: &str, value: &Value, findings: &mut Findings) {
    let texts = LOCALES.map(|locale| field_of(value, locale).as_str().unwrap_or_default().trim());
    for (locale, text) in LOCALES.into_iter().zip(texts) {
        if text.is_empty() {
            findings.add(path, format!("has no \"{field}\" in {locale}: add {what}"));
        }
    }
    let [original, translation] = texts;
    if field != "title" && !original.is_empty() && original == translation {
        findings.add(path, format!("has one text for \"{field}\" in both languages: translate it"));
    }
    if field == "pitch" && texts.iter().any(|text| text.contains('\n')) {
        findings.add(path, "has a \"pitch\" of several lines: make it one");
    }
}

fn prompts(folder: &Path, path: &str, findings: &mut Findings) {
    for (file, what, marks) in PROMPTS {
        let texts = LOCALES.map(|locale| {
            let path = format!("{path}/{locale}/{file}");
            let text = findings.text(folder, &path, &format!("{what}, in {locale}"))?;
            for mark in marks.iter().filter(|mark| !text.contains(**mark)) {
                findings.add(&path, format!("lacks {:?}: add it", mark.trim()));
            }
            Some(text)
        });
        if let [Some(original), Some(translation)] = texts {
            let path = format!("{path}/{}/{file}", LOCALES[1]);
            if original == translation {
                findings.add(&path, format!("is the text of {}: translate it", LOCALES[0]));
            }
            stale(&path, &original, &translation, findings);
        }
    }
}

/// A translation has the headings, list items and template blocks of its original, in their order.
fn stale(path: &str, original: &str, translation: &str, findings: &mut Findings) {
    let [original, translation] = [original, translation].map(marks);
    let same = original.iter().zip(&translation).take_while(|(a, b)| a.1 == b.1).count();
    let line = |marks: &[(usize, &str)]| {
        marks.get(same).map_or("its end".to_owned(), |(line, _)| format!("line {line}"))
    };
    if same < original.len() || same < translation.len() {
        let (here, there) = (line(&translation), line(&original));
        let message = format!("has another shape than {}: compare {here} with {there}", LOCALES[0]);
        findings.add(path, format!("{message} there, and translate what changed"));
    }
}

/// The marks at the beginning of lines, with the lines' numbers.
fn marks(text: &str) -> Vec<(usize, &str)> {
    let first =
        text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, line.split(' ').next()?)));
    first.filter(|(_, mark)| mark.starts_with(['#', '-', '{'])).collect()
}

/// A conversation that a niche is tried with; `scripts/check-conversations` has it with a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    id: String,
    locale: String,
    request: String,
    must: Vec<String>,
    never: Vec<String>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    excludes: Vec<String>,
}

fn conversations(folder: &Path, path: &str, findings: &mut Findings) {
    let (least, of_each) = CONVERSATIONS;
    let what = format!("at least {least} conversations that the niche is tried with");
    let Some(all) = findings.json::<Vec<Conversation>>(folder, path, &what) else { return };
    if all.len() < least {
        findings.add(path, format!("has {} conversations: add {}", all.len(), least - all.len()));
    }
    for locale in LOCALES {
        let count = all.iter().filter(|one| one.locale == locale).count();
        if count < of_each {
            findings.add(path, format!("has {count} in {locale}: add {}", of_each - count));
        }
    }
    let mut ids = BTreeSet::new();
    for one in &all {
        let id = &one.id;
        if !ids.insert(id) {
            findings.add(path, format!("has {id:?} twice: rename one"));
        }
        if !LOCALES.contains(&one.locale.as_str()) {
            let message = format!("{id:?} has locale {:?}: there are {LOCALES:?}", one.locale);
            findings.add(path, message);
        }
        for (field, list) in [("must", &one.must), ("never", &one.never)] {
            if list.is_empty() {
                findings.add(path, format!("{id:?} has no {field:?}: add at least one"));
            }
        }
        let lists = [&one.must, &one.never, &one.contains, &one.excludes];
        if lists.into_iter().flatten().chain([id, &one.request]).any(|text| text.trim().is_empty())
        {
            findings.add(path, format!("{id:?} has an empty text: write or remove it"));
        }
    }
}
