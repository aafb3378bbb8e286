//! Adds a niche and a tier as `docs/adding-a-niche-or-tier.md` says, and forgets one part after the
//! other: the build script's own check names each.

#[path = "../build/catalog.rs"]
mod catalog;

#[cfg(test)]
mod tests {
    use std::{
        fmt::Write as _,
        fs,
        path::{Path, PathBuf},
    };

    use oc_domain::catalog::{Niche, Tier};
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::catalog::read;

    const PAGE: &str = include_str!("../../../docs/adding-a-niche-or-tier.md");

    /// A copy of the catalog that a test may spoil.
    struct Copy(TempDir);

    impl Copy {
        fn new() -> Self {
            let copy = Self(tempfile::tempdir().unwrap());
            copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog"), copy.0.path());
            copy
        }

        /// With the niche that the page adds: the copy of another one's folder, given its own words.
        fn with_niche() -> Self {
            let copy = Self::new();
            assert!(PAGE.contains("cp -r legal bakery"), "the page's command");
            copy_folder(&copy.path("niches/legal"), &copy.path("niches/bakery"));
            copy.edit("niches/bakery/niche.json", |niche| {
                niche["summary"] = json!("Bakeries.");
                niche["title"] = json!({"pt-BR": "Padaria", "en": "Bakery"});
            });
            copy
        }

        /// With the tier that the page adds: its entry, as it stands there.
        fn with_tier() -> Self {
            Self::with_entry(page_s_entry())
        }

        fn with_entry(entry: &str) -> Self {
            let copy = Self::new();
            let text = fs::read_to_string(copy.path("tiers.json")).unwrap();
            let others = text.trim_end().strip_suffix("\n}").unwrap();
            copy.write("tiers.json", &format!("{others},\n{entry}\n}}\n"));
            copy
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.path(path), text).unwrap();
        }

        fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
            let mut value = serde_json::from_slice(&fs::read(self.path(path)).unwrap()).unwrap();
            edit(&mut value);
            self.write(path, &serde_json::to_string_pretty(&value).unwrap());
        }

        fn findings(&self) -> Vec<String> {
            read(self.0.path()).unwrap_err()
        }
    }

    fn page_s_entry() -> &'static str {
        PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap()
    }

    /// What is told of the page's tier with its entry edited.
    fn told_of_tier(part: &str, edit: impl FnOnce(&mut Value)) -> String {
        let mut entry: Value = serde_json::from_str(&format!("{{{}}}", page_s_entry())).unwrap();
        edit(&mut entry["family"]);
        let copy = Copy::with_entry(&format!("  \"family\": {}", entry["family"]));
        format!("## {part}\n{}\n\n", copy.findings().join("\n"))
    }

    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy_folder(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    /// A part, and how it is forgotten.
    type Part<'a> = (&'a str, &'a dyn Fn(&Copy));

    /// What is told where one part after the other is forgotten.
    fn told(copy: fn() -> Copy, parts: &[Part<'_>]) -> String {
        let mut told = String::new();
        for (part, forget) in parts {
            let copy = copy();
            read(copy.0.path()).unwrap();
            forget(&copy);
            let findings = copy.findings().join("\n");
            writeln!(told, "## {part}\n{findings}\n").unwrap();
        }
        told
    }

    #[test]
    fn a_niche_is_one_folder() {
        let copy = Copy::with_niche();
        let ids = read(copy.0.path()).unwrap();
        assert!(ids.niches().contains("    Bakery \"bakery\" \"Bakeries.\"\n"), "{}", ids.niches());
        let niche = fs::read(copy.path("niches/bakery/niche.json")).unwrap();
        serde_json::from_slice::<Niche>(&niche).unwrap();
    }

    #[test]
    fn a_tier_is_one_entry() {
        let copy = Copy::with_tier();
        let ids = read(copy.0.path()).unwrap();
        let line = "    Family \"family\" \"A family around one agent.\"\n";
        assert!(ids.tiers().contains(line), "{}", ids.tiers());
        let tiers: Value =
            serde_json::from_slice(&fs::read(copy.path("tiers.json")).unwrap()).unwrap();
        serde_json::from_value::<Tier>(tiers["family"].clone()).unwrap();
    }

    #[test]
    fn each_forgotten_part_of_a_niche_is_named() {
        let remove = |path: &'static str| {
            move |copy: &Copy| fs::remove_file(copy.path("niches/bakery").join(path)).unwrap()
        };
        let about =
            |edit: fn(&mut Value)| move |copy: &Copy| copy.edit("niches/bakery/niche.json", edit);
        let talks = |edit: fn(&mut Vec<Value>)| {
            move |copy: &Copy| {
                copy.edit("niches/bakery/conversations.json", |all| {
                    edit(all.as_array_mut().unwrap());
                });
            }
        };
        let prompt = |path: &'static str, from: &'static str, to: &'static str| {
            move |copy: &Copy| {
                let path = format!("niches/bakery/{path}");
                let text = fs::read_to_string(copy.path(&path)).unwrap();
                assert!(text.contains(from));
                copy.write(&path, &text.replace(from, to));
            }
        };
        let all = told(
            Copy::with_niche,
            &[
                ("everything but the folder", &|copy| {
                    fs::remove_dir_all(copy.path("niches/bakery")).unwrap();
                    fs::create_dir(copy.path("niches/bakery")).unwrap();
                }),
                ("niche.json", &remove("niche.json")),
                ("conversations.json", &remove("conversations.json")),
                ("a prompt file in Portuguese", &remove("pt-BR/SOUL.md")),
                ("a prompt file in English", &remove("en/AGENTS.md")),
                ("the words of a prompt file", &|copy| {
                    copy.write("niches/bakery/en/IDENTITY.md", "\n");
                }),
                ("a language", &|copy| fs::remove_dir_all(copy.path("niches/bakery/en")).unwrap()),
                ("each field", &about(|niche| *niche = json!({}))),
                ("a text in English", &about(|niche| niche["pitch"]["en"] = json!(""))),
                (
                    "a translation",
                    &about(|niche| {
                        niche["examples"][2]["en"] = niche["examples"][2]["pt-BR"].clone();
                    }),
                ),
                (
                    "a rule and an example",
                    &about(|niche| {
                        niche["guardRules"].as_array_mut().unwrap().truncate(4);
                        niche["examples"].as_array_mut().unwrap().pop();
                    }),
                ),
                ("a translated file", &|copy| {
                    let from = copy.path("niches/bakery/pt-BR/SOUL.md");
                    fs::copy(from, copy.path("niches/bakery/en/SOUL.md")).unwrap();
                }),
                (
                    "to translate a new line",
                    &prompt("pt-BR/AGENTS.md", "\n## Tools\n", "\n- Pão é vida.\n\n## Tools\n"),
                ),
                (
                    "the part on tools",
                    &prompt("en/AGENTS.md", "\n## Tools\n", "\n## Instruments\n"),
                ),
                (
                    "whose agent it is",
                    &prompt("pt-BR/IDENTITY.md", "{{ tenant.id }}", "c-7f3k2m9q"),
                ),
                ("conversations", &talks(|all| all.truncate(17))),
                (
                    "conversations in English",
                    &talks(|all| all.retain(|one| one["locale"] == "pt-BR")),
                ),
                (
                    "what makes an answer good or bad",
                    &talks(|all| {
                        all[0]["must"] = json!([]);
                        all[1]["never"] = json!([" "]);
                        all[2]["id"] = all[3]["id"].clone();
                    }),
                ),
                ("the right name of a file", &|copy| copy.write("niches/bakery/soul.md", "…")),
                ("the right name of the folder", &|copy| {
                    fs::rename(copy.path("niches/bakery"), copy.path("niches/Bakery Shop"))
                        .unwrap();
                }),
            ],
        );
        insta::assert_snapshot!(all);
    }

    #[test]
    fn each_forgotten_part_of_a_tier_is_named() {
        let mut all = String::new();
        let entry: Value = serde_json::from_str(&format!("{{{}}}", page_s_entry())).unwrap();
        for field in entry["family"].as_object().unwrap().keys() {
            all += &told_of_tier(field, |tier| {
                tier.as_object_mut().unwrap().remove(field).unwrap();
            });
        }
        all += &told_of_tier("half of a range", |tier| tier["cpuMillis"] = json!({"request": 500}));
        all += &told_of_tier("a range", |tier| tier["memoryMib"] = json!(2048));
        let slip = |from: &'static str, to: &'static str| {
            move |copy: &Copy| {
                let text = fs::read_to_string(copy.path("tiers.json")).unwrap();
                let (before, after) = text.rsplit_once(from).unwrap();
                copy.write("tiers.json", &format!("{before}{to}{after}"));
            }
        };
        all += &told(
            Copy::with_tier,
            &[
                ("the right name of a field", &slip("\"storageGib\"", "\"storageGb\"")),
                ("a name of its own", &slip("\"family\": {", "\"starter\": {")),
                ("a name that is an id", &slip("\"family\": {", "\"Family Plan\": {")),
            ],
        );
        insta::assert_snapshot!(all);
    }
}
