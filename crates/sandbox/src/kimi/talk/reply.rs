//! Texts.

use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};

use super::{Conversation, Language, language::words, sum::sum};

/// What in a question says nothing about its matter.
const SMALL: &[&str] = &[
    "qual", "quais", "quanto", "quando", "onde", "como", "quem", "que", "é", "são", "foi", "o",
    "a", "os", "as", "do", "da", "de", "dos", "das", "meu", "minha", "me", "um", "uma", "no", "na",
    "em", "eu", "te", "disse", "você", "lembra", "what", "what's", "which", "when", "where", "who",
    "how", "is", "are", "was", "the", "of", "my", "i", "you", "do", "did", "remember", "tell",
    "said", "to",
];

/// What a name follows.
const HEADS: [&str; 4] = ["meu nome é ", "me chamo ", "my name is ", "i am called "];

impl Conversation {
    /// What is said to the last words.
    pub(super) fn reply(&self) -> String {
        let text = self.last();
        let words = words(text);
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let asks = text.contains('?')
            || words.first().is_some_and(|first| SMALL.iter().take(8).any(|small| small == first));
        if text.starts_with("/start") || text.is_empty() {
            return format!("{} {}", self.greeting(), self.abilities());
        }
        if let Some(result) = sum(text, self.language) {
            return self.either("Dá {}.", "That makes {}.").replace("{}", &result);
        }
        if has(&["nome", "name", "chamo"]) {
            let lower = text.to_lowercase();
            let introduces = HEADS.iter().any(|head| lower.contains(head));
            let answer = self.about_name(asks && !introduces);
            let more = if introduces && asks { self.abilities() } else { String::new() };
            return format!("{answer} {more}").trim_end().to_owned();
        }
        if has(&["horas", "hora", "time", "data", "date"]) && asks {
            return self.time();
        }
        if asks && (has(&["fazer", "ajudar", "ajuda", "help", "serve"]) || text.contains("you do"))
        {
            return self.abilities();
        }
        if words.len() <= 4
            && has(&[
                "oi",
                "olá",
                "ola",
                "bom",
                "boa",
                "hi",
                "hello",
                "hey",
                "morning",
                "evening",
                "afternoon",
            ])
        {
            return format!(
                "{} {}",
                self.greeting(),
                self.either("Como posso ajudar?", "How can I help?")
            );
        }
        if has(&["obrigado", "obrigada", "valeu", "thanks", "thank"]) {
            return self
                .either(
                    "Por nada! Precisa de mais alguma coisa?",
                    "You are welcome! Is there anything else?",
                )
                .to_owned();
        }
        if asks && let Some(known) = self.recall(&words) {
            return self.either("Você me disse: “{}”", "You told me: “{}”").replace("{}", known);
        }
        self.paraphrase(asks)
    }

    /// What a tool has found.
    pub(super) fn report(&self, result: &str) -> String {
        let tool = self.call().map(|(tool, _)| tool).unwrap_or_default();
        let short: String = result.chars().take(1500).collect();
        match &*tool {
            "write" => self
                .either(
                    "Anotado. Quer que eu leia as notas depois?",
                    "Noted. Shall I read the notes to you later?",
                )
                .to_owned(),
            "read" => format!("{}\n{short}", self.either("Está escrito:", "It says:")),
            "" => short,
            tool => format!(
                "{}\n{short}",
                self.either("A ferramenta `{}` respondeu:", "The tool `{}` answered:")
                    .replace("{}", tool)
            ),
        }
    }

    fn greeting(&self) -> String {
        let said = self.last().to_lowercase();
        let hello = match self.language {
            Language::Portuguese if said.starts_with("bom dia") => "Bom dia!",
            Language::Portuguese if said.starts_with("boa tarde") => "Boa tarde!",
            Language::Portuguese if said.starts_with("boa noite") => "Boa noite!",
            Language::Portuguese => "Olá!",
            Language::English => "Hello!",
        };
        match self.name() {
            Some(name) => format!("{} {name}!", hello.trim_end_matches('!').to_owned() + ","),
            None => hello.to_owned(),
        }
    }

    /// What it is for, in the operator's words.
    fn abilities(&self) -> String {
        let lines = self.system.lines().map(str::trim);
        let mut own =
            lines.filter(|line| line.starts_with("Você é ") || line.starts_with("You are "));
        let own = own.rfind(|line| !line.contains("OpenClaw") && !line.contains("Telegram"));
        let sentence = own.and_then(|line| line.split(['.', ':']).next());
        let role = sentence
            .map(|sentence| sentence.trim_start_matches("Você é ").trim_start_matches("You are "));
        match role {
            Some(role) => self.either(
                "Sou {}. Posso responder perguntas, fazer contas, anotar e ler as suas notas. Por onde começamos?",
                "I am {}. I can answer questions, do sums, take notes and read them to you. Where shall we start?",
            ).replace("{}", role),
            None => self.either(
                "Posso responder perguntas, fazer contas, anotar e ler as suas notas. Por onde começamos?",
                "I can answer questions, do sums, take notes and read them to you. Where shall we start?",
            ).to_owned(),
        }
    }

    fn about_name(&self, asks: bool) -> String {
        match (self.name(), asks) {
            (Some(name), true) => {
                self.either("O seu nome é {}.", "Your name is {}.").replace("{}", &name)
            }
            (Some(name), false) => self
                .either(
                    "Muito prazer, {}! Vou me lembrar.",
                    "Nice to meet you, {}! I will remember.",
                )
                .replace("{}", &name),
            (None, _) => self
                .either(
                    "Você ainda não me disse o seu nome. Como se chama?",
                    "You have not told me your name yet. What is it?",
                )
                .to_owned(),
        }
    }

    /// The person's name, as it said last.
    fn name(&self) -> Option<String> {
        self.said.iter().rev().find_map(|text| {
            let lower = text.to_lowercase();
            let (at, head) = HEADS.iter().find_map(|head| Some((lower.find(head)?, head)))?;
            // Small letters may be longer than capital ones; then the cut is elsewhere, or nowhere.
            let rest = text.get(at + head.len()..)?;
            let is_name = |word: &&str| word.starts_with(char::is_uppercase);
            let first = rest.split_whitespace().next()?;
            let more = rest
                .split_whitespace()
                .skip(1)
                .take_while(is_name)
                .filter(|_| !first.ends_with(['.', ',', '!']));
            let name: Vec<&str> = [first].into_iter().chain(more).collect();
            let name = name.join(" ");
            let name = name.trim_end_matches(|c: char| !c.is_alphanumeric());
            (!name.is_empty()).then(|| name.to_owned())
        })
    }

    /// The time in Brazil's capital, where the operator is.
    fn time(&self) -> String {
        let zone = TimeZone::fixed(Offset::constant(-3));
        let now = Timestamp::from_second(self.now).unwrap_or_default().to_zoned(zone);
        let (time, date) = (now.strftime("%H:%M"), now.strftime("%d/%m/%Y"));
        match self.language {
            Language::Portuguese => format!("São {time} de {date}, horário de Brasília."),
            Language::English => {
                format!("It is {time} on {}, Brasília time.", now.strftime("%Y-%m-%d"))
            }
        }
    }

    /// What the person has said before about the matter of a question.
    fn recall(&self, words: &[String]) -> Option<&str> {
        let matter: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| !SMALL.contains(word)).collect();
        let before = self.said.split_last()?.1;
        let about = |text: &&String| {
            let said = super::language::words(text);
            let hits = matter.iter().filter(|word| said.iter().any(|said| said == *word)).count();
            hits > 0 && hits * 2 >= matter.len() && !text.contains('?')
        };
        before.iter().rev().find(about).map(String::as_str)
    }

    fn paraphrase(&self, asks: bool) -> String {
        let text: String = self.last().chars().take(200).collect();
        let text = text.trim().trim_end_matches(['.', '!', '?']);
        let (portuguese, english) = if asks {
            (
                "Boa pergunta: “{}”. Aqui, sem internet, não tenho onde conferir. O que você já sabe sobre isso?",
                "Good question: “{}”. Offline I have nowhere to look it up. What do you already know about it?",
            )
        } else {
            (
                "Entendi: “{}”. Quer que eu anote isso ou que veja o próximo passo com você?",
                "I see: “{}”. Shall I note that down, or look at the next step with you?",
            )
        };
        self.either(portuguese, english).replace("{}", text)
    }
}
