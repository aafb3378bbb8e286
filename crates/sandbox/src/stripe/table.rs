//! Objects of one kind, in the order in which they were made.

use std::{collections::HashMap, sync::Arc};

use super::{engine::Entity, id::Id};

/// Rows that are shared with the events which show them: a change copies its row.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    rows: Vec<Arc<T>>,
    places: HashMap<Id, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Entity> Table<T> {
    pub(super) fn insert(&mut self, row: T) -> Arc<T> {
        let row = Arc::new(row);
        self.places.insert(row.id().clone(), self.rows.len());
        self.rows.push(Arc::clone(&row));
        row
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<T>> {
        self.rows.get(*self.places.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Arc<T>> {
        self.rows.get_mut(*self.places.get(id)?)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Arc<T>> {
        self.rows.iter()
    }
}
