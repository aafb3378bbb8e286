//! Secrets, which come as a value or as a mounted file.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;

/// The secret that `name` (an environment variable, as `DATABASE_URL`) or the file that
/// `<name>_FILE` names holds, without the file's last line end.
///
/// The errors name the variable, and never the secret.
pub fn secret(
    value: Option<&SecretString>,
    file: Option<&Path>,
    name: &str,
) -> Result<SecretString> {
    match (value, file) {
        (Some(value), None) => Ok(value.clone()),
        (None, Some(file)) => {
            read(file).with_context(|| format!("{name}_FILE: reading {}", file.display()))
        }
        (None, None) => bail!("neither {name} nor {name}_FILE is set"),
        (Some(_), Some(_)) => bail!("both {name} and {name}_FILE are set: leave one"),
    }
}

fn read(file: &Path) -> Result<SecretString> {
    let text = fs::read_to_string(file)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        bail!("the file is empty");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use secrecy::ExposeSecret as _;
    use tempfile::NamedTempFile;

    use super::*;

    fn from_file(content: &[u8]) -> Result<String> {
        let mut file = NamedTempFile::new()?;
        file.write_all(content)?;
        Ok(secret(None, Some(file.path()), "NAME")?.expose_secret().to_owned())
    }

    #[test]
    fn only_the_last_line_end_of_a_file_is_dropped() {
        assert_eq!(from_file(b"hush").unwrap(), "hush");
        assert_eq!(from_file(b"hush\n").unwrap(), "hush");
        assert_eq!(from_file(b" hush \r\n").unwrap(), " hush ");
        assert_eq!(from_file(b"two\nlines\n\n").unwrap(), "two\nlines\n");
    }

    #[test]
    fn a_missing_secret_says_what_to_set() {
        let error = secret(None, None, "DATABASE_URL").unwrap_err();
        assert_eq!(error.to_string(), "neither DATABASE_URL nor DATABASE_URL_FILE is set");
        let error = secret(None, Some(Path::new("/nowhere")), "DATABASE_URL").unwrap_err();
        assert_eq!(error.to_string(), "DATABASE_URL_FILE: reading /nowhere");
    }

    #[test]
    fn an_unusable_file_is_refused_without_a_word_of_it() {
        assert!(format!("{:#}", from_file(b"\n").unwrap_err()).ends_with("the file is empty"));
        let error = format!("{:#}", from_file(b"hush\xff").unwrap_err());
        assert!(error.contains("UTF-8") && !error.contains("hush"), "{error}");
    }
}
