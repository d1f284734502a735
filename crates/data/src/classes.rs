//! The classes of a data set: their names and colours.

use contract::Invalid;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Maximum number of classes: a mask is bytes, and 255 is [`IGNORE`](crate::IGNORE).
const MOST_CLASSES: usize = 255;

/// Colours that colour-blind people can tell apart too (Okabe & Ito, 2008), with grey instead of their black.
pub const PALETTE: [Color; 8] = [
    Color([230, 159, 0]),
    Color([86, 180, 233]),
    Color([0, 158, 115]),
    Color([240, 228, 66]),
    Color([0, 114, 178]),
    Color([213, 94, 0]),
    Color([204, 121, 167]),
    Color([128, 128, 128]),
];

/// Red, green and blue; `"#rrggbb"` in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Color(pub [u8; 3]);

impl Color {
    /// Returns the default colour of a class, from [`PALETTE`]; beyond eight classes the colours repeat.
    pub fn of_class(id: u8) -> Self {
        PALETTE[usize::from(id) % PALETTE.len()]
    }
}

impl fmt::Display for Color {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, rgb @ ..] = number.ok_or_else(|| format!("a colour is \"#rrggbb\", not \"{text}\""))?.to_be_bytes();
        Ok(Self(rgb))
    }
}

impl TryFrom<String> for Color {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        color.to_string()
    }
}

impl JsonSchema for Color {
    fn schema_name() -> Cow<'static, str> {
        "Color".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^#[0-9a-fA-F]{6}$" })
    }
}

/// A class: its name, or an object with its name and a colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Name in reports.
    pub name: String,
    /// Colour in pictures; [`Color::of_class`] if `None`.
    pub color: Option<Color>,
}

/// A class with a colour, as a configuration writes it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Described {
    /// Name in reports.
    name: String,
    /// Colour in pictures.
    #[serde(default)]
    color: Option<Color>,
}

impl AsRef<str> for Class {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl From<&str> for Class {
    fn from(name: &str) -> Self {
        Self { name: name.into(), color: None }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.color {
            None => serializer.serialize_str(&self.name),
            color => Described { name: self.name.clone(), color }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand: an untagged enum would not report the unknown key or the invalid colour.
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Class;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("the name of a class, or {\"name\": …, \"color\": \"#rrggbb\"}")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Class, E> {
                Ok(name.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Class, A::Error> {
                let Described { name, color } =
                    Described::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
                Ok(Class { name, color })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Class {
    fn schema_name() -> Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let described = Described::json_schema(generator);
        json_schema!({
            "description": "A class: its name, or an object with its name and a colour.",
            "anyOf": [{ "type": "string" }, described]
        })
    }
}

/// Refuses invalid classes; the error's key is `classes` or one of them.
pub fn check_classes(classes: &[Class]) -> Result<(), Invalid> {
    Invalid::unless((1..=MOST_CLASSES).contains(&classes.len()), "classes", || {
        format!("must name 1 to {MOST_CLASSES} classes, names {}", classes.len())
    })?;
    for (id, class) in classes.iter().enumerate() {
        let key = format!("classes[{id}]");
        Invalid::unless(!class.name.trim().is_empty(), &key, || "must have a name".into())?;
        let before = classes[..id].iter().position(|other| other.name == class.name);
        Invalid::unless(before.is_none(), &key, || {
            format!("has the name '{}', as the class {} has", class.name, before.unwrap_or_default())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json, to_value};
    use std::collections::BTreeMap;

    #[test]
    fn a_class_is_a_name_or_a_name_with_a_colour() {
        let road = json!([" road", {"name": "tree", "color": "#0a80FF"}, {"name": "car"}]);
        let classes: Vec<Class> = from_value(road).unwrap();
        let tree = Class { name: "tree".into(), color: Some(Color([10, 128, 255])) };
        assert_eq!(classes, [" road".into(), tree, "car".into()]);
        let written = to_value(&classes).unwrap();
        assert_eq!(written, json!([" road", {"name": "tree", "color": "#0a80ff"}, "car"]));
        assert_eq!(from_value::<Vec<Class>>(written).unwrap(), classes);
    }

    #[test]
    fn what_is_no_class_is_said_to_be_none() {
        for (value, says) in [
            (json!(3), "the name of a class"),
            (json!({"name": "a", "colour": "#000000"}), "`colour`"),
            (json!({"color": "#000000"}), "missing field `name`"),
            (json!({"name": "a", "color": "red"}), "a colour is \"#rrggbb\", not \"red\""),
            (json!({"name": "a", "color": "#+12345"}), "not \"#+12345\""),
            (json!({"name": "a", "color": "#äöü"}), "not \"#äöü\""),
        ] {
            let error = from_value::<Class>(value).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_colour_can_be_a_key() {
        let map: BTreeMap<Color, u8> = from_value(json!({"#800000": 1, "#00ff00": 2})).unwrap();
        assert_eq!(map, BTreeMap::from([(Color([128, 0, 0]), 1), (Color([0, 255, 0]), 2)]));
        assert_eq!(to_value(map).unwrap(), json!({"#800000": 1, "#00ff00": 2}));
        assert_eq!([0, 7, 8].map(Color::of_class), [PALETTE[0], PALETTE[7], PALETTE[0]]);
    }

    #[test]
    fn classes_have_names_of_their_own() {
        check_classes(&["a".into(), "b".into()]).unwrap();
        let many = |count: usize| (0..count).map(|id| id.to_string().as_str().into()).collect::<Vec<Class>>();
        check_classes(&many(255)).unwrap();
        for (classes, key, says) in [
            (many(0), "classes", "names 0"),
            (many(256), "classes", "names 256"),
            (vec!["a".into(), " ".into()], "classes[1]", "a name"),
            (vec!["a".into(), "b".into(), "a".into()], "classes[2]", "'a', as the class 0"),
        ] {
            let invalid = check_classes(&classes).unwrap_err();
            assert!(invalid.key == key && invalid.problem.contains(says), "{invalid}");
        }
    }

    #[test]
    fn the_schema_knows_both_forms() {
        let schema = to_value(schemars::schema_for!(Class)).unwrap();
        assert_eq!(schema["anyOf"][0], json!({"type": "string"}));
        assert_eq!(schema["anyOf"][1]["additionalProperties"], Value::Bool(false));
        assert!(schema.to_string().contains("^#[0-9a-fA-F]{6}$"), "{schema}");
    }
}
