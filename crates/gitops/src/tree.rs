//! What stands in a git tree: pure.

use crate::oid::Oid;

/// What a name is in a tree, or a path in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Oid),
    Folder(Oid),
    /// A link or a submodule.
    Other,
}

/// Finds `name` in a tree.
pub(crate) fn find(mut tree: &[u8], name: &[u8]) -> Option<Entry> {
    loop {
        let (found, entry, rest) = first(tree)?;
        if found == name {
            return Some(entry);
        }
        tree = rest;
    }
}

/// The first entry of a tree, `<mode> <name>`, a zero and the object's bytes, and what follows it;
/// nothing where the tree is at its end, or is none.
pub(crate) fn first(tree: &[u8]) -> Option<(&[u8], Entry, &[u8])> {
    let zero = tree.iter().position(|byte| *byte == 0)?;
    let (head, rest) = tree.split_at_checked(zero)?;
    let (oid, rest) = rest.get(1..)?.split_first_chunk()?;
    let space = head.iter().position(|byte| *byte == b' ')?;
    let (mode, name) = head.split_at_checked(space)?;
    let oid = Oid::from_bytes(*oid);
    let entry = match mode {
        b"40000" => Entry::Folder(oid),
        mode if mode.starts_with(b"100") => Entry::File(oid),
        _ => Entry::Other,
    };
    Some((name.get(1..)?, entry, rest))
}
