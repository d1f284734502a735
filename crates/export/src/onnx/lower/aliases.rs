//! Names of the same memory, which an operator that works in place changes together.

use std::collections::BTreeMap;
use torch_ext::Operation;

/// Operators whose result may share memory with an input.
const VIEWS: [&str; 24] = [
    "aten::view",
    "aten::reshape",
    "aten::view_as",
    "aten::reshape_as",
    "aten::expand",
    "aten::expand_as",
    "aten::flatten",
    "aten::unflatten",
    "aten::permute",
    "aten::transpose",
    "aten::t",
    "aten::unsqueeze",
    "aten::squeeze",
    "aten::slice",
    "aten::narrow",
    "aten::select",
    "aten::chunk",
    "aten::split",
    "aten::split_with_sizes",
    "aten::unbind",
    "aten::contiguous",
    "aten::to",
    "aten::detach",
    "prim::ListUnpack",
];

/// Groups of names that may share memory.
#[derive(Debug, Default)]
pub struct Aliases<'a> {
    groups: BTreeMap<&'a str, usize>,
    /// Items of lists.
    lists: BTreeMap<&'a str, &'a [String]>,
    count: usize,
}

impl<'a> Aliases<'a> {
    fn group(&mut self, name: &'a str) -> usize {
        self.count += 1;
        *self.groups.entry(name).or_insert(self.count)
    }

    fn join(&mut self, first: &'a str, second: &'a str) {
        let (kept, other) = (self.group(first), self.group(second));
        self.groups.values_mut().filter(|group| **group == other).for_each(|group| *group = kept);
    }

    fn is_in(&self, name: &str, group: usize) -> bool {
        let own = [name];
        let items = self.lists.get(name).into_iter().flat_map(|items| items.iter().map(String::as_str));
        own.into_iter().chain(items).any(|name| self.groups.get(name) == Some(&group))
    }

    /// Takes note of an operation. Returns true if it changes in place what one of the `later` inputs is another name
    /// for.
    pub fn changes(&mut self, operation: &'a Operation, mut later: impl Iterator<Item = &'a String>) -> bool {
        if let ("prim::ListConstruct", [output]) = (&*operation.kind, &operation.outputs[..]) {
            self.lists.insert(output, &operation.inputs);
        }
        let in_place = operation.kind.ends_with('_');
        let Some(first) = operation.inputs.first().filter(|_| in_place || VIEWS.contains(&&*operation.kind)) else {
            return false;
        };
        let group = self.group(first);
        if in_place && later.any(|name| self.is_in(name, group)) {
            return true;
        }
        for output in &operation.outputs {
            self.join(first, output);
        }
        false
    }
}
