//! Values as they travel: PackStream, without its structures.

use super::Error;

/// Deepest nesting that is read: nothing that we ask for comes near it.
const DEPTH_MAX: u32 = 16;

/// A value of a parameter or of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// Names and values.
    Map(Vec<(String, Value)>),
}

/// A list of what can be a value.
pub fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(Into::into).collect())
}

/// A map of these names.
pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entry of a map.
    pub fn entry(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => entries.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends the value as it travels.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Null => to.push(0xc0),
            Self::Bool(false) => to.push(0xc2),
            Self::Bool(true) => to.push(0xc3),
            Self::Int(number) => write_int(*number, to),
            Self::Float(number) => {
                to.push(0xc1);
                to.extend_from_slice(&number.to_be_bytes());
            }
            Self::Text(text) => {
                write_size(text.len(), [Some(0x80), Some(0xd0), Some(0xd1), Some(0xd2)], to);
                to.extend_from_slice(text.as_bytes());
            }
            Self::Bytes(bytes) => {
                write_size(bytes.len(), [None, Some(0xcc), Some(0xcd), Some(0xce)], to);
                to.extend_from_slice(bytes);
            }
            Self::List(items) => {
                write_size(items.len(), [Some(0x90), Some(0xd4), Some(0xd5), Some(0xd6)], to);
                items.iter().for_each(|item| item.write(to));
            }
            Self::Map(entries) => {
                write_size(entries.len(), [Some(0xa0), Some(0xd8), Some(0xd9), Some(0xda)], to);
                for (name, value) in entries {
                    Self::from(name.as_str()).write(to);
                    value.write(to);
                }
            }
        }
    }
}

fn write_int(number: i64, to: &mut Vec<u8>) {
    if let Ok(small) = i8::try_from(number) {
        if small < -16 {
            to.push(0xc8);
        }
        to.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(short) = i16::try_from(number) {
        to.push(0xc9);
        to.extend_from_slice(&short.to_be_bytes());
    } else if let Ok(int) = i32::try_from(number) {
        to.push(0xca);
        to.extend_from_slice(&int.to_be_bytes());
    } else {
        to.push(0xcb);
        to.extend_from_slice(&number.to_be_bytes());
    }
}

/// A marker with a size: within the marker up to 15, then in one, two or four bytes.
fn write_size(size: usize, [tiny, one, two, four]: [Option<u8>; 4], to: &mut Vec<u8>) {
    if let (Some(tiny), true) = (tiny, size < 16) {
        to.push(tiny | (size as u8));
    } else if let (Some(marker), Ok(size)) = (one, u8::try_from(size)) {
        to.extend_from_slice(&[marker, size]);
    } else if let (Some(marker), Ok(size)) = (two, u16::try_from(size)) {
        to.push(marker);
        to.extend_from_slice(&size.to_be_bytes());
    } else if let Some(marker) = four {
        to.push(marker);
        // Messages are limited far below 4 GiB before they are sent.
        to.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    }
}

/// Reads values out of a message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, depth: 0 }
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) =
            self.rest.split_at_checked(size).ok_or(Error::Protocol("a message is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| Error::Protocol("a message is cut off"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    fn size(&mut self, bytes: u8) -> Result<usize, Error> {
        Ok(match bytes {
            1 => usize::from(self.byte()?),
            2 => usize::from(u16::from_be_bytes(self.array()?)),
            _ => usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX),
        })
    }

    pub(super) fn value(&mut self) -> Result<Value, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::Protocol("values are nested too deeply"));
        }
        let marker = self.byte()?;
        let tiny = usize::from(marker & 0x0f);
        let value = match marker {
            0x00..=0x7f | 0xf0..=0xff => Value::Int(i64::from(marker.cast_signed())),
            0x80..=0x8f => self.text(tiny)?,
            0x90..=0x9f => self.list(tiny)?,
            0xa0..=0xaf => self.map(tiny)?,
            0xc0 => Value::Null,
            0xc1 => Value::Float(f64::from_be_bytes(self.array()?)),
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc8 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xc9 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xca => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Int(i64::from_be_bytes(self.array()?)),
            0xcc..=0xce => {
                let size = self.size(1 << (marker - 0xcc))?;
                Value::Bytes(self.take(size)?.to_vec())
            }
            0xd0..=0xd2 => {
                let size = self.size(1 << (marker - 0xd0))?;
                self.text(size)?
            }
            0xd4..=0xd6 => {
                let size = self.size(1 << (marker - 0xd4))?;
                self.list(size)?
            }
            0xd8..=0xda => {
                let size = self.size(1 << (marker - 0xd8))?;
                self.map(size)?
            }
            _ => return Err(Error::Protocol("a value is of a type that was not asked for")),
        };
        self.depth -= 1;
        Ok(value)
    }

    fn text(&mut self, size: usize) -> Result<Value, Error> {
        let text =
            std::str::from_utf8(self.take(size)?).map_err(|_| Error::Protocol("a text is not UTF-8"))?;
        Ok(Value::Text(text.to_owned()))
    }

    fn list(&mut self, size: usize) -> Result<Value, Error> {
        // Not reserved: the size is the other side's word.
        let mut items = Vec::new();
        for _ in 0..size {
            items.push(self.value()?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, size: usize) -> Result<Value, Error> {
        let mut entries = Vec::new();
        for _ in 0..size {
            let Value::Text(name) = self.value()? else {
                return Err(Error::Protocol("a name in a map is not a text"));
            };
            entries.push((name, self.value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-200i64..200).prop_map(Value::Int),
            (-1e9..1e9).prop_map(Value::Float),
            ".{0,300}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(3, 40, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
                prop::collection::vec(("[a-z]{0,20}", inner), 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any_value()) {
            let mut bytes = Vec::new();
            value.write(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.value().unwrap(), value);
            prop_assert!(reader.rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::new(&bytes).value();
        }
    }

    #[test]
    fn sizes_around_their_borders_are_read() {
        for size in [0, 15, 16, 255, 256, 65_535, 65_536] {
            for value in [Value::Text("x".repeat(size)), Value::List(vec![Value::Null; size])] {
                let mut bytes = Vec::new();
                value.write(&mut bytes);
                assert_eq!(Reader::new(&bytes).value().unwrap(), value);
            }
        }
    }

    #[test]
    fn a_list_in_a_list_without_end_is_refused() {
        assert!(matches!(Reader::new(&[0x91; 100]).value(), Err(Error::Protocol(_))));
    }
}
