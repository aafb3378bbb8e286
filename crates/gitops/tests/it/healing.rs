//! Clones that somebody, a disk or a kill damaged.

use std::{
    fs::{self, File, OpenOptions},
    future::ready,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use oc_gitops::Change;
use serde_json::json;

use crate::support::{Remote, apply, change, command, committed, git, hold, id, nth, path, tenant};

type Damage = (&'static str, fn(&Path));

fn packs(clone: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(clone.join("objects/pack")).unwrap();
    let mut packs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.retain(|path| path.extension().is_some_and(|it| it == extension));
    assert!(!packs.is_empty());
    packs
}

/// Packs are read-only, as git makes them.
fn rewrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn truncate(clone: &Path) {
    for pack in packs(clone, "pack") {
        let bytes = fs::read(&pack).unwrap();
        rewrite(&pack, &bytes[..bytes.len() / 2]);
    }
}

fn flip_bits(clone: &Path) {
    for pack in packs(clone, "pack") {
        let mut bytes = fs::read(&pack).unwrap();
        let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
        for byte in bytes[from..to].iter_mut().step_by(7) {
            *byte ^= 0xff;
        }
        rewrite(&pack, &bytes);
    }
}

fn lose(clone: &Path, extension: &str) {
    for path in packs(clone, extension) {
        fs::remove_file(path).unwrap();
    }
}

fn leave_locks(clone: &Path) {
    for lock in [
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "shallow.lock",
        "refs/openclaw/tip.lock",
        "refs/openclaw/next.lock",
        "objects/maintenance.lock",
        "objects/pack/pack-1.keep",
        "objects/pack/tmp_pack_x",
        "fast_import_crash_1",
        "gc.pid",
    ] {
        fs::create_dir_all(clone.join("refs/openclaw")).unwrap();
        fs::write(clone.join(lock), "").unwrap();
    }
}

const DAMAGES: &[Damage] = &[
    ("the clone is gone", |clone| fs::remove_dir_all(clone).unwrap()),
    ("a file in its place", |clone| {
        fs::remove_dir_all(clone).unwrap();
        fs::write(clone, "?").unwrap();
    }),
    ("objects are gone", |clone| fs::remove_dir_all(clone.join("objects")).unwrap()),
    ("refs are gone", |clone| fs::remove_dir_all(clone.join("refs")).unwrap()),
    ("HEAD is gone", |clone| fs::remove_file(clone.join("HEAD")).unwrap()),
    ("HEAD is garbage", |clone| fs::write(clone.join("HEAD"), "\0\0").unwrap()),
    ("the config is garbage", |clone| fs::write(clone.join("config"), "[core\n").unwrap()),
    ("the tip is garbage", |clone| fs::write(clone.join("refs/openclaw/tip"), "garbage").unwrap()),
    ("the tip is empty", |clone| fs::write(clone.join("refs/openclaw/tip"), "").unwrap()),
    ("the tip is nothing we have", |clone| {
        fs::write(clone.join("refs/openclaw/tip"), "12345678".repeat(5)).unwrap();
    }),
    ("next is garbage", |clone| fs::write(clone.join("refs/openclaw/next"), "garbage").unwrap()),
    ("foreign refs", |clone| {
        fs::create_dir_all(clone.join("refs/heads")).unwrap();
        fs::write(clone.join("refs/heads/x"), "garbage").unwrap();
        fs::write(clone.join("packed-refs"), "garbage").unwrap();
    }),
    ("locks", leave_locks),
    ("truncated packs", truncate),
    ("flipped bits", flip_bits),
    ("lost packs", |clone| lose(clone, "pack")),
    ("lost indices", |clone| lose(clone, "idx")),
    ("an alternate", |clone| {
        fs::create_dir_all(clone.join("objects/info")).unwrap();
        fs::write(clone.join("objects/info/alternates"), "/nowhere\n").unwrap();
    }),
];

#[tokio::test]
async fn a_damaged_clone_is_healed_when_it_is_opened() {
    let remote = Remote::new(50);
    let mut ids = 0..;
    for (name, damage) in DAMAGES {
        let mut fleet = remote.open().await;
        let number = ids.next().unwrap();
        committed(&apply(&mut fleet, &[hold(number, &id(0))]).await.unwrap()[0]);
        drop(fleet);
        damage(&remote.clone_path());
        let mut fleet = remote.open().await;
        let number = ids.next().unwrap();
        let outcomes = apply(&mut fleet, &[hold(number, &id(1))]).await;
        let outcomes = outcomes.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(committed(&outcomes[0]), remote.tip(), "{name}");
    }
    remote.assert_once(0..ids.start);
}

#[tokio::test]
async fn a_clone_that_is_damaged_while_it_is_in_use_is_healed() {
    let remote = Remote::new(50);
    let mut ids = 0..;
    for (name, damage) in DAMAGES {
        let mut fleet = remote.open().await;
        for warm in [true, false] {
            if warm {
                // Git has the packs open and mapped.
                let number = ids.next().unwrap();
                committed(&apply(&mut fleet, &[hold(number, &id(0))]).await.unwrap()[0]);
            }
            damage(&remote.clone_path());
            // And somebody else pushes, so there is something to fetch into it.
            remote.import(&[("README".to_owned(), format!("{name} {warm}"))]);
            let number = ids.next().unwrap();
            let outcomes = apply(&mut fleet, &[hold(number, &id(1))]).await;
            let outcomes = outcomes.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(committed(&outcomes[0]), remote.tip(), "{name}");
        }
    }
    remote.assert_once(0..ids.start);
}

/// A file whose object is lost must not be taken for one that is not there: it would be made anew
/// over what people wrote.
#[tokio::test]
async fn a_lost_file_or_folder_is_never_taken_for_one_that_is_not_there() {
    let remote = Remote::new(50);
    remote.human("human").edit(&id(3), "pt-BR", "en");
    let (file, clone) = (path(&id(3)), remote.clone_path());
    let folder = file.rsplit_once('/').unwrap().0;
    for (number, lost) in (0..).zip([file.as_str(), folder, "tenants", ""]) {
        let mut fleet = remote.open().await;
        let tip = fleet.tip().await.unwrap();
        let lost = git(&clone, &["rev-parse", &format!("{tip}:{lost}")]);
        let objects = git(&clone, &["rev-list", "--objects", "--no-object-names", "--all"]);
        let kept: Vec<&str> = objects.lines().filter(|object| *object != lost).collect();
        assert_eq!(kept.len() + 1, objects.lines().count());
        let names = remote.folder().join("names");
        fs::write(&names, kept.join("\n")).unwrap();
        let old = [packs(&clone, "pack"), packs(&clone, "idx")].concat();
        let mut pack = command(&clone);
        pack.args(["pack-objects", "--quiet", "objects/pack/pack"]).stdout(Stdio::null());
        assert!(pack.stdin(File::open(names).unwrap()).status().unwrap().success());
        for path in old {
            fs::remove_file(path).unwrap();
        }
        // After an error git is started anew, and no longer has the old pack open.
        fleet.apply(&[hold(99, &id(5))], |_| ready(Err("not now".into()))).await.unwrap_err();
        let create = serde_json::from_str(&tenant(&id(3))).unwrap();
        let change = Change { create: Some(create), ..hold(number, &id(3)) };
        committed(&apply(&mut fleet, &[change]).await.unwrap()[0]);
        assert_eq!(remote.json(&id(3))["spec"]["locale"], "en", "{lost}");
    }
    remote.assert_once(0..4);
}

/// The same where an object is there and is not what it was, whichever it is.
#[tokio::test]
async fn a_flipped_byte_anywhere_loses_nothing_that_people_wrote() {
    let remote = Remote::new(50);
    remote.human("human").edit(&id(3), "pt-BR", "en");
    drop(remote.open().await);
    let pack = packs(&remote.clone_path(), "pack").remove(0);
    let size = fs::metadata(&pack).unwrap().len();
    let (mut damaged, step) = (0, size / 16);
    for at in (20..size - 20).step_by(usize::try_from(step).unwrap()) {
        let whole = remote.folder().join("whole");
        let _ = fs::remove_dir_all(&whole);
        let mut fleet = remote.open().await;
        // The first pack may have been replaced by the healing of the round before.
        let pack = packs(&remote.clone_path(), "pack").remove(0);
        let size = fs::metadata(&pack).unwrap().len();
        fs::copy(&pack, &whole).unwrap();
        let mut file = OpenOptions::new().read(true).write(true).open(&whole).unwrap();
        file.seek(SeekFrom::Start(at.min(size - 21))).unwrap();
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Current(-1)).unwrap();
        file.write_all(&[byte[0] ^ 0x5a]).unwrap();
        fs::rename(&whole, &pack).unwrap();
        let create = serde_json::from_str(&tenant(&id(3))).unwrap();
        let change = Change { create: Some(create), ..hold(i64::try_from(at).unwrap(), &id(3)) };
        committed(&apply(&mut fleet, &[change]).await.unwrap()[0]);
        assert_eq!(remote.json(&id(3))["spec"]["locale"], "en", "byte {at}");
        damaged += 1;
    }
    assert!(damaged > 12);
}

#[tokio::test]
async fn a_damage_in_old_history_is_healed_when_it_is_met() {
    let remote = Remote::new(50);
    let mut fleet = remote.open().await;
    committed(&apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap()[0]);
    let old = fleet.tip().await.unwrap();
    let edits = [("/spec/locale", json!("en"))];
    for number in 2..10 {
        apply(&mut fleet, &[hold(number, &id(0)), change(number + 100, &id(2), &edits)])
            .await
            .unwrap();
    }
    flip_bits(&remote.clone_path());
    let file = fleet.read(old, &path(&id(0))).await.unwrap().unwrap();
    assert!(String::from_utf8(file).unwrap().contains("change 1"));
    truncate(&remote.clone_path());
    assert_eq!(fleet.trace("trace-1").await.unwrap()[0].change, Some(1));
    remote.assert_once((1..10).chain([102]));
}

#[tokio::test]
async fn packs_stay_few_and_nothing_else_piles_up() {
    let remote = Remote::new(50);
    let mut fleet = remote.open().await;
    let human = remote.human("human");
    let mut most = 0;
    for number in 0..90 {
        if number % 3 == 0 {
            human.say("hello");
        }
        apply(&mut fleet, &[hold(number, &nth(number, 50))]).await.unwrap();
        most = most.max(packs(&remote.clone_path(), "pack").len());
    }
    println!("at most {most} packs");
    assert!((10..=36).contains(&most), "{most}");
    let names = |folder: &str| {
        let entries = fs::read_dir(remote.clone_path().join(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let objects = names("objects");
    assert!(objects.iter().all(|name| name == "pack" || name == "info"), "{objects:?}");
    assert_eq!(names("refs/openclaw"), ["next", "tip"]);
    drop(fleet);
    committed(&apply(&mut remote.open().await, &[hold(90, &id(0))]).await.unwrap()[0]);
    remote.assert_once(0..91);
}
