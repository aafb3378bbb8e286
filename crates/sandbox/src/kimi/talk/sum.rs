//! Arithmetic, in figures or with the words between them.

use super::language::Language;

/// What an expression in a text comes to, written for a reader; nothing, if the text holds none.
pub(super) fn sum(text: &str, language: Language) -> Option<String> {
    let tokens = tokens(&text.to_lowercase(), language);
    let (start, end) = longest(&tokens)?;
    let mut reader = Reader { tokens: tokens.get(start..end)?, at: 0 };
    let value = reader.terms()?;
    (reader.at == reader.tokens.len() && value.is_finite()).then(|| written(value, language))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Number(f64),
    Sign(char),
    Other,
}

fn tokens(text: &str, language: Language) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_ascii_digit() {
            let end = rest
                .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')))
                .unwrap_or(rest.len());
            let figures = rest.get(..end).unwrap_or_default().trim_end_matches(['.', ',']);
            let plain = match language {
                Language::Portuguese if figures.contains(',') => {
                    figures.replace('.', "").replace(',', ".")
                }
                _ => figures.replace(',', ""),
            };
            tokens.push(plain.parse().map_or(Token::Other, Token::Number));
            figures.len()
        } else if c.is_alphabetic() {
            let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            tokens.push(match rest.get(..end).unwrap_or_default() {
                "mais" | "plus" => Token::Sign('+'),
                "menos" | "minus" => Token::Sign('-'),
                "vezes" | "times" | "x" => Token::Sign('*'),
                "dividido" | "divided" => Token::Sign('/'),
                // The second half of "divided by".
                "por" | "by" if tokens.last() == Some(&Token::Sign('/')) => {
                    rest = rest.get(end..).unwrap_or_default();
                    continue;
                }
                _ => Token::Other,
            });
            end
        } else {
            match c {
                '+' | '-' | '*' | '/' | '(' | ')' => tokens.push(Token::Sign(c)),
                '×' => tokens.push(Token::Sign('*')),
                '÷' => tokens.push(Token::Sign('/')),
                c if c.is_whitespace() || matches!(c, '?' | '=' | '.' | '!') => {}
                _ => tokens.push(Token::Other),
            }
            c.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// The longest stretch of figures and signs, if there is something to reckon in it.
fn longest(tokens: &[Token]) -> Option<(usize, usize)> {
    let mut best = (0, 0);
    let mut start = 0;
    for (index, token) in tokens.iter().chain([&Token::Other]).enumerate() {
        if *token == Token::Other {
            if index - start > best.1 - best.0 {
                best = (start, index);
            }
            start = index + 1;
        }
    }
    let numbers = tokens
        .get(best.0..best.1)?
        .iter()
        .filter(|token| matches!(token, Token::Number(_)))
        .count();
    (numbers >= 2).then_some(best)
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn sign(&mut self, signs: &[char]) -> Option<char> {
        match self.tokens.get(self.at) {
            Some(Token::Sign(sign)) if signs.contains(sign) => {
                self.at += 1;
                Some(*sign)
            }
            _ => None,
        }
    }

    fn terms(&mut self) -> Option<f64> {
        let mut value = self.factors()?;
        while let Some(sign) = self.sign(&['+', '-']) {
            let next = self.factors()?;
            value = if sign == '+' { value + next } else { value - next };
        }
        Some(value)
    }

    fn factors(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        while let Some(sign) = self.sign(&['*', '/']) {
            let next = self.factor()?;
            value = if sign == '*' { value * next } else { value / next };
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<f64> {
        if self.sign(&['-']).is_some() {
            return self.factor().map(|value| -value);
        }
        if self.sign(&['(']).is_some() {
            // A person's text nests a few of them at most.
            let value = if self.at < 1000 { self.terms()? } else { return None };
            return self.sign(&[')']).map(|_| value);
        }
        match self.tokens.get(self.at) {
            Some(Token::Number(number)) => {
                self.at += 1;
                Some(*number)
            }
            _ => None,
        }
    }
}

fn written(value: f64, language: Language) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match language {
        Language::Portuguese => text.replace('.', ","),
        Language::English => text.to_owned(),
    }
}
