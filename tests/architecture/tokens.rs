//! Reads what macros and attributes are given, which need not be Rust.

use super::modules::{Named, Way};
use super::names::plain;
use super::syntax::Reader;
use syn::buffer::Cursor;
use syn::visit::Visit;

impl Reader<'_> {
    /// Takes every chain of names joined by `::` for a path, within the group of a `use` for one below `prefix`. In
    /// attributes a string may be a path too.
    pub fn scan(&mut self, mut at: Cursor, prefix: &[String], attribute: bool) {
        // The tokens before this one: punctuation as it is, all else as `x`.
        let mut before = String::new();
        while !at.eof() {
            if let Some((inside, _, _, after)) = at.any_group() {
                self.scan(inside, &[], attribute);
                (at, before) = (after, before + "x");
            } else if let Some((_, after)) = at.lifetime() {
                (at, before) = (after, before + "x");
            } else if let Some((name, after)) = at.ident() {
                at = self.chain(plain(&name), after, &before, prefix, attribute);
                before.push('x');
            } else if let Some((mark, after)) = at.punct() {
                before.push(mark.as_char());
                at = after;
            } else if let Some((literal, after)) = at.literal() {
                let text = literal.to_string();
                let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|_| attribute);
                if let Some(kind) = text.and_then(|text| syn::parse_str::<syn::Type>(text).ok()) {
                    self.visit_type(&kind);
                }
                (at, before) = (after, before + "x");
            } else {
                return;
            }
        }
    }

    /// Reads the path that `first` opens, and returns the place behind it.
    fn chain<'c>(
        &mut self,
        first: String,
        mut at: Cursor<'c>,
        before: &str,
        prefix: &[String],
        attribute: bool,
    ) -> Cursor<'c> {
        let mut segments = [prefix, &[first]].concat();
        while let Some(after) = colons(at) {
            if let Some((name, after)) = after.ident() {
                segments.push(plain(&name));
                at = after;
            } else if let Some((_, after)) = after.punct().filter(|(mark, _)| mark.as_char() == '*') {
                segments.push("*".to_owned());
                at = after;
            } else {
                if let Some((inside, _, _, after)) = after.any_group() {
                    self.scan(inside, &segments, attribute);
                    return after;
                }
                break;
            }
        }
        let called = at.punct().filter(|(mark, _)| mark.as_char() == '!');
        let called = called.is_some_and(|(_, after)| after.any_group().is_some());
        let global = before.ends_with("::");
        if before.ends_with('.') && !before.ends_with("..") {
            segments.truncate(1);
            self.mention(Named { global: false, segments }, Way::Method);
        } else if before.ends_with(">::") || before.ends_with('$') && segments[0] != "crate" {
            // An associated item of a type that has been read, or a variable of the macro.
        } else {
            self.mention(Named { global, segments }, if called { Way::Macro } else { Way::Code });
        }
        at
    }
}

/// Returns the place behind `::`, if that is what stands here.
fn colons(at: Cursor) -> Option<Cursor> {
    let (_, at) = at.punct().filter(|(mark, _)| mark.as_char() == ':')?;
    at.punct().filter(|(mark, _)| mark.as_char() == ':').map(|(_, after)| after)
}
