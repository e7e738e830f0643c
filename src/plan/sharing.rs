//! Memory that values of a plan share where their lives do not overlap.

use super::commands::{BufferId, Command, Dispatch, Plan, Role};
use crate::kernels::{self, FoldParams, Kernel, MapParams};

/// The commands that touch a buffer: from its first to its last one.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
    /// Whether the first one writes all of it, so that it does not matter what was there.
    begins_whole: bool,
}

impl Plan {
    /// Puts workspaces where others lay whose last use is over, if a `map` or a `fold` or a clear writes all of them first. Gives
    /// the new name of each buffer.
    pub(super) fn share_memory(&mut self) -> Vec<BufferId> {
        let lives = self.lives();
        let mut order: Vec<usize> =
            (0..lives.len()).filter(|&i| lives[i].is_some_and(|life| life.begins_whole)).collect();
        order.sort_by_key(|&i| lives[i].map(|life| life.first));
        // Pieces of memory, and the last command that uses each.
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut places: Vec<usize> = (0..self.buffers.len()).collect();
        for i in order {
            let Some(life) = lives[i] else { continue };
            let words = |piece: &(usize, usize)| self.buffers[piece.0].words;
            let free = |piece: &&mut (usize, usize)| piece.1 < life.first && words(piece) >= self.buffers[i].words;
            match pieces.iter_mut().filter(free).min_by_key(|piece| words(piece)) {
                Some(piece) => (places[i], piece.1) = (piece.0, life.last),
                None => pieces.push((i, life.last)),
            }
        }
        self.rename(&places)
    }

    /// None for what is no workspace, or is never used.
    fn lives(&self) -> Vec<Option<Life>> {
        let mut lives: Vec<Option<Life>> = vec![None; self.buffers.len()];
        for (at, command) in self.commands.iter().enumerate() {
            let mut touch = |id: BufferId, begins_whole: bool| {
                let life = lives[id.0].get_or_insert(Life { first: at, last: at, begins_whole });
                life.last = at;
            };
            match command {
                Command::Dispatch(dispatch) => {
                    let bound = &self.bindings[dispatch.bindings];
                    let whole = self.writes_whole(dispatch);
                    bound.iter().for_each(|&id| touch(id, whole == Some(id)));
                }
                Command::Copy { from, to, .. } => [from, to].into_iter().for_each(|&id| touch(id, false)),
                Command::Clear { buffer, offset, words } => {
                    touch(*buffer, *offset == 0 && *words == self.buffers[buffer.0].words);
                }
            }
        }
        let is_workspace = |i: usize| self.buffers[i].role == Role::Workspace;
        lives.into_iter().enumerate().map(|(i, life)| life.filter(|_| is_workspace(i))).collect()
    }

    /// The buffer of which a dispatch of `map` or `fold` writes every word, and which it does not read.
    fn writes_whole(&self, dispatch: &Dispatch) -> Option<BufferId> {
        let words = self.params(dispatch);
        let (count, accumulate) = match self.variants[dispatch.variant].kernel() {
            Kernel::Map => {
                let params: MapParams = kernels::read(words);
                (params.count, params.accumulate)
            }
            Kernel::Fold => {
                let params: FoldParams = kernels::read(words);
                (params.count, params.accumulate)
            }
            _ => return None,
        };
        let (&out, read) = self.bindings[dispatch.bindings].split_last()?;
        let whole = !accumulate && count as u64 == self.buffers[out.0].words && !read.contains(&out);
        whole.then_some(out)
    }

    /// Lets each buffer be another one, and drops those that no command names any more.
    fn rename(&mut self, places: &[usize]) -> Vec<BufferId> {
        let mut kept = vec![0; places.len()];
        let mut count = 0;
        for (i, &place) in places.iter().enumerate() {
            if place == i {
                kept[i] = count;
                count += 1;
            }
        }
        let names: Vec<BufferId> = places.iter().map(|&place| BufferId(kept[place])).collect();
        let rename = |id: &mut BufferId| *id = names[id.0];
        self.bindings.iter_mut().flatten().for_each(rename);
        for command in &mut self.commands {
            match command {
                Command::Dispatch(_) => {}
                Command::Copy { from, to, .. } => [from, to].into_iter().for_each(rename),
                Command::Clear { buffer, .. } => rename(buffer),
            }
        }
        let mut i = 0;
        self.buffers.retain(|_| {
            i += 1;
            places[i - 1] == i - 1
        });
        names
    }
}
