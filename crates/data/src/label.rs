//! The mapping from the values or colours of mask files to classes.

pub(crate) mod classes;
pub(crate) mod pixel;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use crate::label::classes::{Class, Color};
use crate::label::pixel::Label;
use crate::label::table::LabelTable;
use crate::load::IGNORE;
use contract::{Invalid, listed};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::BTreeMap;

/// Mapping of a mask file's pixels to classes. Without `map` and `colors`, a pixel's value is its class id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// For masks that hold numbers (grey values, palette indices): the class of each value, by id or name. Other values
    /// are unlisted, even if there is a class with that id.
    #[serde(deserialize_with = "by_value")]
    pub map: BTreeMap<u16, ClassRef>,
    /// For masks that hold colours: the class of each colour, by id or name. Several colours may map to one class.
    pub colors: BTreeMap<Color, ClassRef>,
    /// Values or colours of pixels that count in no loss and no metric. If empty, and if masks hold numbers, 255 is
    /// ignored unless `map` lists it.
    pub ignore: Vec<Label>,
    /// Handling of values and colours that are neither a class's nor ignored.
    pub unlisted: Unlisted,
}

/// A class, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the id or the name of a class")]
#[schemars(extend("errorMessage" = "expected the id or the name of a class"))]
pub enum ClassRef {
    /// Its position in `classes`, from 0.
    Id(u64),
    /// Its name.
    Name(String),
}

/// Handling of unlisted values and colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// Fails with an error that names the file and the pixel.
    #[default]
    Error,
    /// Counts them in no loss and no metric.
    Ignore,
}

impl ClassRef {
    /// Returns the id of the class, or an error for the value of `key`.
    pub(crate) fn id<C: AsRef<str>>(&self, key: &str, classes: &[C]) -> Result<u8, Invalid> {
        let found = match self {
            Self::Id(id) => (*id < classes.len() as u64).then_some(*id as usize),
            Self::Name(name) => classes.iter().position(|class| class.as_ref() == name),
        };
        found.and_then(|id| u8::try_from(id).ok()).ok_or_else(|| Invalid {
            key: key.into(),
            problem: match self {
                Self::Id(id) => format!("there is no class {id}: the ids are 0 to {}", classes.len().saturating_sub(1)),
                Self::Name(name) => format!("there is no class '{name}', only {}", names(classes)),
            },
        })
    }
}

fn names<C: AsRef<str>>(classes: &[C]) -> String {
    listed(classes.iter().map(AsRef::as_ref), MOST_SHOWN)
}

impl Labels {
    /// Refuses settings that do not fit these `classes`; keys are relative to this struct.
    pub fn check(&self, classes: &[Class]) -> Result<(), Invalid> {
        Invalid::unless(self.map.is_empty() || self.colors.is_empty(), "colors", || {
            "map is for masks that hold numbers, colors for masks that hold colours: give only one of them; for a mask \
             with a palette both will do"
                .into()
        })?;
        self.values(classes)?;
        self.colors(classes)?;
        for (place, label) in self.ignore.iter().enumerate() {
            self.check_ignored(*label, classes)
                .map_err(|problem| Invalid { key: format!("ignore[{place}]"), problem })?;
        }
        Ok(())
    }

    fn check_ignored(&self, label: Label, classes: &[Class]) -> Result<(), String> {
        match label {
            Label::Color(color) if self.colors.is_empty() => {
                Err(format!("{color} is a colour, but without colors the masks hold numbers"))
            }
            Label::Value(value) if !self.colors.is_empty() => Err(format!(
                "{value} is a number, but with colors the masks hold colours: a grey of {0} is \"{1}\"",
                value.min(255),
                Color([value.min(255) as u8; 3])
            )),
            Label::Color(color) if self.colors.contains_key(&color) => {
                Err(format!("{color} is listed under colors too: it can be a class or ignored"))
            }
            Label::Value(value) if self.map.contains_key(&value) => {
                Err(format!("{value} is listed under map too: it can be a class or ignored"))
            }
            Label::Value(value) if self.map.is_empty() && usize::from(value) < classes.len() => Err(format!(
                "{value} is the class '{}': to ignore it, leave the class out and give the others' values under map",
                classes[usize::from(value)].name
            )),
            _ => Ok(()),
        }
    }

    /// Returns whether 255 is ignored only because the configuration does not mention it. Masks of 0 and 255 then
    /// consist of background and ignored pixels, which is hardly ever intended.
    pub fn assumes_255(&self) -> bool {
        self.colors.is_empty() && self.ignore.is_empty() && !self.map.contains_key(&u16::from(IGNORE))
    }

    /// Returns the colour of each class: its own, else the first of `colors` that maps to it, else the palette's.
    pub fn colors_of(&self, classes: &[Class]) -> Vec<Color> {
        let of_labels = |id| {
            let means = |class: &ClassRef| class.id("", classes) == Ok(id);
            self.colors.iter().find(|(_, class)| means(class)).map(|(color, _)| *color)
        };
        let ids = 0..=u8::MAX;
        let color = |(class, id): (&Class, u8)| class.color.or_else(|| of_labels(id)).unwrap_or(Color::of_class(id));
        classes.iter().zip(ids).map(color).collect()
    }

    /// Returns the values and the classes that they mean.
    fn values(&self, classes: &[Class]) -> Result<Vec<(u16, u8)>, Invalid> {
        if self.map.is_empty() {
            return Ok((0..classes.len().min(usize::from(IGNORE))).map(|id| (id as u16, id as u8)).collect());
        }
        let of = |(value, class): (&u16, &ClassRef)| Ok((*value, class.id(&format!("map.{value}"), classes)?));
        self.map.iter().map(of).collect()
    }

    /// Returns the colours and the classes that they mean.
    fn colors(&self, classes: &[Class]) -> Result<Vec<(Color, u8)>, Invalid> {
        let of = |(color, class): (&Color, &ClassRef)| Ok((*color, class.id(&format!("colors.{color}"), classes)?));
        self.colors.iter().map(of).collect()
    }

    /// Returns the class id of every value or colour of a mask file.
    pub(crate) fn table(&self, classes: &[Class]) -> Result<LabelTable, Invalid> {
        self.check(classes)?;
        let unlisted = (self.unlisted == Unlisted::Ignore).then_some(IGNORE);
        if !self.colors.is_empty() {
            let ignored = self.ignore.iter().filter_map(|label| match label {
                Label::Color(color) => Some((*color, IGNORE)),
                Label::Value(_) => None,
            });
            let listed = self.colors(classes)?.into_iter().chain(ignored);
            return Ok(LabelTable::of_colors(self.expected(classes)?, listed, unlisted));
        }
        let mut ignored: Vec<u16> = self
            .ignore
            .iter()
            .filter_map(|label| match label {
                Label::Value(value) => Some(*value),
                Label::Color(_) => None,
            })
            .collect();
        if self.assumes_255() {
            ignored.push(IGNORE.into());
        }
        let listed = self.values(classes)?.into_iter().chain(ignored.into_iter().map(|value| (value, IGNORE)));
        Ok(LabelTable::of_values(self.expected(classes)?, listed, unlisted))
    }

    /// Describes the valid content of a mask, for messages about invalid content.
    fn expected(&self, classes: &[Class]) -> Result<String, Invalid> {
        let class = |id: u8| classes.get(usize::from(id)).map(|class| class.name.as_str()).unwrap_or_default();
        let labels: Vec<String> = match self.colors.is_empty() {
            true => self.values(classes)?.iter().map(|(value, id)| format!("{value} ({})", class(*id))).collect(),
            false => self.colors(classes)?.iter().map(|(color, id)| format!("{color} ({})", class(*id))).collect(),
        };
        let shown = listed(&labels, MOST_SHOWN);
        let ignored = match self.ignore.is_empty() {
            _ if self.assumes_255() => "; 255 is ignored, since data.labels says nothing of it".into(),
            true => String::new(),
            false => format!("; ignored: {}", listed(&self.ignore, MOST_SHOWN)),
        };
        let hint = if self.colors.is_empty() {
            "data.labels says what the values mean, such as {\"map\": {\"0\": 0, \"255\": 1}} for masks of 0 and 255"
        } else {
            "data.labels.colors says what the colours mean"
        };
        Ok(format!("expected {shown}{ignored}; {hint}"))
    }
}

/// Maximum number of labels that a message lists.
pub(crate) const MOST_SHOWN: usize = 20;

/// Parses the keys of `map`, which are text in JSON and stay so for serde wherever a section has a `kind`.
fn by_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u16, ClassRef>, D::Error> {
    let map = BTreeMap::<String, ClassRef>::deserialize(deserializer)?;
    map.into_iter().map(|(key, class)| Ok((Label::value(&key).map_err(D::Error::custom)?, class))).collect()
}
