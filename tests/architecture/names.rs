//! The names that items, imports and patterns bring, read from their syntax.

use super::modules::Named;
use std::collections::{HashMap, HashSet};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ForeignItem, Ident, Item, ItemUse, Meta, Pat, Stmt, UseTree};

/// Names of a function or block, which hide those of its module.
#[derive(Default)]
pub struct Scope {
    /// Items, without a path, and imports, with the path that they stand for.
    pub items: HashMap<String, Option<Named>>,
    pub variables: HashSet<String>,
}

/// Returns the name without `r#`.
pub fn plain(name: &Ident) -> String {
    name.unraw().to_string()
}

/// Returns the names that an item brings into its module: imports with their path, a glob under the name `*`. Modules
/// are not among them.
pub fn bindings(item: &Item) -> Vec<(String, Option<Named>)> {
    let (attrs, name) = head(item);
    match item {
        _ if for_tests(attrs) => Vec::new(),
        Item::Use(item) => {
            leaves(item).into_iter().filter(|(name, _)| name != "_").map(|(n, p)| (n, Some(p))).collect()
        }
        Item::ExternCrate(item) => {
            let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
            vec![(plain(name), Some(Named { global: true, segments: vec![plain(&item.ident)] }))]
        }
        Item::ForeignMod(block) => {
            let name = |item: &ForeignItem| match item {
                ForeignItem::Fn(item) => Some((plain(&item.sig.ident), None)),
                ForeignItem::Static(item) => Some((plain(&item.ident), None)),
                ForeignItem::Type(item) => Some((plain(&item.ident), None)),
                _ => None,
            };
            block.items.iter().filter_map(name).collect()
        }
        _ => name.map(|name| (plain(name), None)).into_iter().collect(),
    }
}

/// Returns an item's attributes, and its name unless it is a module, an import, or has none.
pub fn head(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Returns true for `#[cfg(test)]`, for conditions that need it, and for `#[test]`.
pub fn for_tests(attrs: &[Attribute]) -> bool {
    fn needs_test(condition: &Meta) -> bool {
        let Meta::List(list) = condition else { return condition.path().is_ident("test") };
        let separated = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
        let Ok(inner) = list.parse_args_with(separated) else { return false };
        match list.path.get_ident().map(plain).as_deref() {
            Some("all") => inner.iter().any(needs_test),
            Some("any") => !inner.is_empty() && inner.iter().all(needs_test),
            _ => false,
        }
    }
    attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list.parse_args().is_ok_and(|meta| needs_test(&meta)),
        meta => meta.path().is_ident("test"),
    })
}

/// Returns the imports of a `use`, each with the name that it brings. A glob's name is `*`.
pub fn leaves(item: &ItemUse) -> Vec<(String, Named)> {
    fn walk(tree: &UseTree, path: &[String], found: &mut Vec<(String, Vec<String>)>) {
        let below = |name: &Ident| [path, &[plain(name)]].concat();
        match tree {
            UseTree::Path(tree) => walk(&tree.tree, &below(&tree.ident), found),
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| walk(tree, path, found)),
            UseTree::Glob(_) => found.push(("*".to_owned(), [path, &["*".to_owned()]].concat())),
            UseTree::Name(tree) if tree.ident == "self" => {
                found.extend(path.last().map(|name| (name.clone(), path.to_vec())));
            }
            UseTree::Name(tree) => found.push((plain(&tree.ident), below(&tree.ident))),
            UseTree::Rename(tree) if tree.ident == "self" => found.push((plain(&tree.rename), path.to_vec())),
            UseTree::Rename(tree) => found.push((plain(&tree.rename), below(&tree.ident))),
        }
    }
    let mut found = Vec::new();
    walk(&item.tree, &[], &mut found);
    let global = item.leading_colon.is_some();
    found.into_iter().map(|(name, segments)| (name, Named { global, segments })).collect()
}

/// Returns a path without its generic arguments.
pub fn named(path: &syn::Path) -> Named {
    let segments = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
    Named { global: path.leading_colon.is_some(), segments }
}

/// Returns the items and imports of a block, and its globs.
pub fn block(block: &Block) -> (Scope, Vec<Named>) {
    let items = block.stmts.iter().filter_map(|statement| match statement {
        Stmt::Item(item) => Some(bindings(item)),
        _ => None,
    });
    let (globs, items): (Vec<_>, Vec<_>) = items.flatten().partition(|(name, _)| name == "*");
    let globs = globs.into_iter().filter_map(|(_, path)| Some(path?.above())).collect();
    (Scope { items: items.into_iter().collect(), ..Scope::default() }, globs)
}

/// Returns the variables of a function: what all patterns that `visit` passes bind.
pub fn variables(visit: impl FnOnce(&mut Variables)) -> Scope {
    let mut bound = Variables::default();
    visit(&mut bound);
    Scope { variables: bound.0, ..Scope::default() }
}

/// Gathers the names that patterns bind.
#[derive(Default)]
pub struct Variables(HashSet<String>);

impl<'ast> Visit<'ast> for Variables {
    fn visit_pat(&mut self, node: &'ast Pat) {
        // A name in capitals is a constant or a unit struct, which is compared and binds nothing.
        if let Pat::Ident(name) = node
            && !name.ident.to_string().starts_with(char::is_uppercase)
        {
            self.0.insert(plain(&name.ident));
        }
        visit::visit_pat(self, node);
    }
}
