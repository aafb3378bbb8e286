//! Portuguese or English.

/// A language that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// As in Brazil.
    Portuguese,
    English,
}

const PORTUGUESE: &[&str] = &[
    "o", "os", "um", "uma", "de", "do", "da", "dos", "das", "que", "qual", "quanto", "quando",
    "onde", "como", "por", "para", "pra", "com", "sem", "em", "no", "na", "e", "eu", "meu",
    "minha", "você", "vc", "é", "são", "está", "tem", "não", "sim", "oi", "olá", "ola", "bom",
    "boa", "dia", "tarde", "noite", "obrigado", "obrigada", "valeu", "tudo", "bem", "nome",
    "anote", "anota", "leia", "lembra", "horas", "quero", "preciso",
];
const ENGLISH: &[&str] = &[
    "the", "an", "of", "what", "what's", "which", "when", "where", "how", "who", "for", "with",
    "without", "in", "on", "and", "i", "my", "you", "your", "is", "are", "was", "has", "have",
    "not", "yes", "hi", "hello", "hey", "good", "morning", "evening", "thanks", "thank", "name",
    "note", "read", "write", "remember", "time", "want", "need", "please", "can", "do", "does",
    "it", "this", "that", "i'm", "there", "to", "use",
];

impl Language {
    /// The language of the last text that tells, or else that of the instructions.
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a str>, system: &str) -> Self {
        let mut told = texts.filter_map(tell);
        let niche = system.contains("in English") || !system.is_empty() && !system.contains("Você");
        told.next().unwrap_or(if niche { Self::English } else { Self::Portuguese })
    }
}

/// The words of a text, in small letters.
pub(super) fn words(text: &str) -> Vec<String> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '_' | '-' | '.' | '/');
    let split = text.split(|c: char| !inside(c));
    split
        .map(|word| word.trim_matches(['.', '-', '\'']).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

fn tell(text: &str) -> Option<Language> {
    let words = words(text);
    let count = |list: &[&str]| words.iter().filter(|word| list.contains(&word.as_str())).count();
    let accents = text.chars().filter(|c| "ãõçáéíóúâêôà".contains(*c)).count();
    match (count(PORTUGUESE) + accents).cmp(&count(ENGLISH)) {
        std::cmp::Ordering::Greater => Some(Language::Portuguese),
        std::cmp::Ordering::Less => Some(Language::English),
        std::cmp::Ordering::Equal => None,
    }
}
