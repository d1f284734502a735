//! The modules of a crate, and the file or the outside path that a path in them leads to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Path as it stands in the source, without generic arguments: `std::fs::read`, `::std::fs`, `super::*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Opens with `::`, so it starts at the names of crates.
    pub global: bool,
    pub segments: Vec<String>,
}

impl Named {
    /// Returns the path without its last segment.
    pub fn above(mut self) -> Self {
        self.segments.pop();
        self
    }
}

/// Kind of place in which a path stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// `use`, also inside a function.
    Use,
    /// `pub use`, `pub(crate) use` and the like: a re-export.
    Reexport,
    /// Expression, type, pattern, bound, attribute or argument of a macro.
    Code,
    /// Name of a macro that is called.
    Macro,
    /// Method that is called: the type is unknown, so the path is the method's name alone.
    Method,
}

/// Path and where it stands.
#[derive(Debug)]
pub struct Mention {
    pub module: usize,
    pub path: Named,
    pub way: Way,
}

/// Meaning of a name in a module.
#[derive(Debug)]
pub enum Name {
    Module(usize),
    /// Item of this file.
    Item(usize),
    Use(Named),
}

/// End of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Module(usize),
    /// An item of this file, or what belongs to the item: a variant, an associated function.
    File(usize),
    /// Path into another crate, its name first.
    Outside(Vec<String>),
}

#[derive(Debug, Default)]
pub struct Module {
    pub file: usize,
    pub parent: Option<usize>,
    pub names: HashMap<String, Vec<Name>>,
    /// Modules of which all names are imported.
    pub globs: Vec<Named>,
}

/// Files, modules and paths of a library or program, code for tests aside.
#[derive(Debug, Default)]
pub struct Crate {
    pub files: Vec<PathBuf>,
    /// The root is module 0.
    pub modules: Vec<Module>,
    pub mentions: Vec<Mention>,
}

impl Crate {
    /// Returns the path of the file in which the mention stands.
    pub fn place(&self, mention: &Mention) -> &Path {
        &self.files[self.modules[mention.module].file]
    }

    /// Returns all that a mention may mean: a module and a function may share a name.
    pub fn targets(&self, mention: &Mention) -> Vec<Target> {
        if mention.way == Way::Method {
            return Vec::new();
        }
        let found = self.resolve(mention.module, &mention.path, &mut Vec::new());
        let [name] = mention.path.segments.as_slice() else { return found };
        // A macro is known to all modules below the one that defines it, without an import.
        let mut above = self.modules[mention.module].parent.filter(|_| mention.way == Way::Macro);
        while let (Some(module), [Target::Outside(_)]) = (above, found.as_slice()) {
            if self.modules[module].names.contains_key(name) {
                return self.lookup(module, name, &mut Vec::new());
            }
            above = self.modules[module].parent;
        }
        found
    }

    /// Follows `path` from `module`. `busy` holds the names being looked up, as imports may refer to each other.
    fn resolve(&self, module: usize, path: &Named, busy: &mut Vec<(usize, String)>) -> Vec<Target> {
        let Some((first, rest)) = path.segments.split_first() else { return Vec::new() };
        let mut found = match first.as_str() {
            name if path.global => vec![Target::Outside(vec![name.to_owned()])],
            "Self" => Vec::new(),
            "crate" => vec![Target::Module(0)],
            "self" | "super" => self.step(Target::Module(module), first, busy),
            name => match self.lookup(module, name, busy) {
                found if found.is_empty() => vec![Target::Outside(vec![name.to_owned()])],
                found => found,
            },
        };
        for segment in rest {
            // Before `::` a name is a module if it can be, and not the function of that name.
            let modules = found.iter().any(|target| matches!(target, Target::Module(_)));
            found.retain(|target| !modules || matches!(target, Target::Module(_)));
            found = found.into_iter().flat_map(|target| self.step(target, segment, busy)).collect();
        }
        found
    }

    fn step(&self, from: Target, segment: &str, busy: &mut Vec<(usize, String)>) -> Vec<Target> {
        match (from, segment) {
            (Target::File(file), _) => vec![Target::File(file)],
            (Target::Outside(path), _) => vec![Target::Outside([path, vec![segment.to_owned()]].concat())],
            (Target::Module(module), "self") => vec![Target::Module(module)],
            (Target::Module(module), "super") => vec![Target::Module(self.modules[module].parent.unwrap_or(0))],
            (Target::Module(module), "*") => vec![Target::File(self.modules[module].file)],
            (Target::Module(module), name) => match self.lookup(module, name, busy) {
                // A name that no item bears comes out of a macro, which stands in the module's file.
                found if found.is_empty() => vec![Target::File(self.modules[module].file)],
                found => found,
            },
        }
    }

    fn lookup(&self, module: usize, name: &str, busy: &mut Vec<(usize, String)>) -> Vec<Target> {
        let key = (module, name.to_owned());
        let again = busy.contains(&key);
        busy.push(key);
        let mut found = Vec::new();
        for meaning in self.modules[module].names.get(name).into_iter().flatten() {
            match meaning {
                Name::Module(id) => found.push(Target::Module(*id)),
                Name::Item(file) => found.push(Target::File(*file)),
                Name::Use(path) if !again => found.extend(self.resolve(module, path, busy)),
                Name::Use(_) => {}
            }
        }
        let globs = if found.is_empty() && !again { self.modules[module].globs.as_slice() } else { &[] };
        for glob in globs {
            for target in self.resolve(module, glob, busy) {
                if let Target::Module(id) = target {
                    found.extend(self.lookup(id, name, busy));
                }
            }
        }
        busy.pop();
        found
    }
}
