//! Reads sources with `syn`: the modules, what each defines and imports, and every path that stands in them.

use super::modules::{Crate, Mention, Module, Name, Named, Way};
use super::names::{Scope, bindings, block, for_tests, head, leaves, named, plain, variables};
use std::path::{Path, PathBuf};
use syn::buffer::TokenBuffer;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, Visibility};

/// Returns the text of a file, or none if there is no such file.
pub type Text<'t> = &'t dyn Fn(&Path) -> Option<String>;

impl Crate {
    /// Reads the crate whose root is the file `root`, from `mod` to `mod`.
    ///
    /// # Panics
    ///
    /// Panics if a file is missing or is not Rust.
    pub fn read(root: &Path, text: Text) -> Self {
        let mut krate = Self { modules: vec![Module::default()], ..Self::default() };
        let folder = root.parent().unwrap().to_path_buf();
        Reader { krate: &mut krate, text, module: 0, file: root.to_path_buf(), folder, scopes: Vec::new() }.load();
        krate
    }
}

pub struct Reader<'r> {
    krate: &'r mut Crate,
    text: Text<'r>,
    module: usize,
    file: PathBuf,
    /// Folder in which the files of child modules lie.
    folder: PathBuf,
    /// Functions and blocks around the place that is being read, the innermost last.
    scopes: Vec<Scope>,
}

impl Reader<'_> {
    /// Reads the current file, which is the current module.
    fn load(&mut self) {
        let place = self.file.display();
        let text = (self.text)(&self.file).unwrap_or_else(|| panic!("{place}: no such file"));
        let tree = syn::parse_file(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        self.krate.modules[self.module].file = self.krate.files.len();
        self.krate.files.push(self.file.clone());
        if !for_tests(&tree.attrs) {
            self.bind(&tree.items);
            self.visit_file(&tree);
        }
    }

    /// Returns the file of the child module `name`, and the folder of the child's own children.
    fn child(&self, name: &str, attrs: &[Attribute]) -> (PathBuf, PathBuf) {
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("path")) {
            let Meta::NameValue(meta) = &attr.meta else { continue };
            let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &meta.value else { continue };
            let file = self.file.parent().unwrap().join(path.value());
            return (file.clone(), file.parent().unwrap().to_path_buf());
        }
        let folder = self.folder.join(name);
        let file = self.folder.join(format!("{name}.rs"));
        if (self.text)(&file).is_some() { (file, folder) } else { (folder.join("mod.rs"), folder) }
    }

    /// Enters the names of a module's items and imports.
    fn bind(&mut self, items: &[Item]) {
        let file = self.krate.modules[self.module].file;
        for (name, import) in items.iter().flat_map(bindings) {
            let module = &mut self.krate.modules[self.module];
            match import {
                Some(path) if name == "*" => module.globs.push(path.above()),
                Some(path) => module.names.entry(name).or_default().push(Name::Use(path)),
                None => module.names.entry(name).or_default().push(Name::Item(file)),
            }
        }
        for item in items {
            let (attrs, name) = head(item);
            if let Some(name) = name.filter(|_| attrs.iter().any(|attr| attr.path().is_ident("macro_export"))) {
                self.krate.modules[0].names.entry(plain(name)).or_default().push(Name::Item(file));
            }
        }
    }

    pub fn mention(&mut self, path: Named, way: Way) {
        let Some((first, rest)) = path.segments.split_first() else { return };
        for scope in self.scopes.iter().rev().filter(|_| !path.global && way != Way::Method) {
            if rest.is_empty() && way == Way::Code && scope.variables.contains(first) {
                return;
            }
            match scope.items.get(first) {
                Some(Some(import)) => {
                    let segments = [&import.segments, rest].concat();
                    let path = Named { global: import.global, segments };
                    return self.krate.mentions.push(Mention { module: self.module, path, way });
                }
                Some(None) => return,
                None => {}
            }
        }
        self.krate.mentions.push(Mention { module: self.module, path, way });
    }

    fn within(&mut self, scope: Scope, read: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        read(self);
        self.scopes.pop();
    }
}

/// Overrides that leave out what `#[cfg(test)]` leaves out.
macro_rules! unless_for_tests {
    ($($visit:ident: $kind:ident,)*) => {$(
        fn $visit(&mut self, node: &'ast syn::$kind) {
            if !for_tests(&node.attrs) {
                visit::$visit(self, node);
            }
        }
    )*};
}

/// Overrides for functions, whose variables hide imports of the same name.
macro_rules! with_variables {
    ($($visit:ident: $kind:ident,)*) => {$(
        fn $visit(&mut self, node: &'ast syn::$kind) {
            if !for_tests(&node.attrs) {
                let scope = variables(|bound| visit::$visit(bound, node));
                self.within(scope, |reader| visit::$visit(reader, node));
            }
        }
    )*};
}

impl<'ast> Visit<'ast> for Reader<'_> {
    unless_for_tests! {
        visit_impl_item_const: ImplItemConst,
        visit_field: Field,
        visit_variant: Variant,
        visit_arm: Arm,
        visit_local: Local,
        visit_field_value: FieldValue,
        visit_stmt_macro: StmtMacro,
        visit_expr_block: ExprBlock,
    }

    with_variables! {
        visit_item_fn: ItemFn,
        visit_impl_item_fn: ImplItemFn,
        visit_trait_item_fn: TraitItemFn,
        visit_expr_closure: ExprClosure,
    }

    fn visit_item(&mut self, node: &'ast Item) {
        if !for_tests(head(node).0) {
            visit::visit_item(self, node);
        }
    }

    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        let name = plain(&node.ident);
        let id = self.krate.modules.len();
        let file = self.krate.modules[self.module].file;
        self.krate.modules.push(Module { file, parent: Some(self.module), ..Module::default() });
        self.krate.modules[self.module].names.entry(name.clone()).or_default().push(Name::Module(id));
        let (file, folder) = match &node.content {
            Some(_) => (self.file.clone(), self.folder.join(&name)),
            None => self.child(&name, &node.attrs),
        };
        let mut inner =
            Reader { krate: &mut *self.krate, text: self.text, module: id, file, folder, scopes: Vec::new() };
        match &node.content {
            Some((_, items)) => {
                inner.bind(items);
                items.iter().for_each(|item| inner.visit_item(item));
            }
            None => inner.load(),
        }
    }

    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        let way = if matches!(node.vis, Visibility::Inherited) { Way::Use } else { Way::Reexport };
        for (_, path) in leaves(node) {
            self.mention(path, way);
        }
    }

    fn visit_item_extern_crate(&mut self, node: &'ast syn::ItemExternCrate) {
        self.mention(Named { global: true, segments: vec![plain(&node.ident)] }, Way::Use);
    }

    fn visit_block(&mut self, node: &'ast syn::Block) {
        let (scope, globs) = block(node);
        self.krate.modules[self.module].globs.extend(globs);
        self.within(scope, |reader| visit::visit_block(reader, node));
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        self.mention(named(node), Way::Code);
        visit::visit_path(self, node);
    }

    fn visit_expr_path(&mut self, node: &'ast syn::ExprPath) {
        match node.qself.as_ref().filter(|qself| qself.position == 0) {
            // In `<Vec<Table>>::new` what follows the type is no path of its own.
            Some(qself) => self.visit_qself(qself),
            None => visit::visit_expr_path(self, node),
        }
    }

    fn visit_type_path(&mut self, node: &'ast syn::TypePath) {
        match node.qself.as_ref().filter(|qself| qself.position == 0) {
            Some(qself) => self.visit_qself(qself),
            None => visit::visit_type_path(self, node),
        }
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        self.mention(Named { global: false, segments: vec![plain(&node.method)] }, Way::Method);
        visit::visit_expr_method_call(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.mention(named(&node.path), Way::Macro);
        self.scan(TokenBuffer::new2(node.tokens.clone()).begin(), &[], false);
    }

    fn visit_attribute(&mut self, node: &'ast Attribute) {
        let silent = ["allow", "cfg", "deny", "doc", "expect", "forbid", "warn"];
        if let (Meta::List(list), false) = (&node.meta, silent.iter().any(|name| node.path().is_ident(name))) {
            self.scan(TokenBuffer::new2(list.tokens.clone()).begin(), &[], true);
        }
    }
}
