//! As much of the protobuf wire format as writing one ONNX file takes: no schema, no reading.

/// A message under construction: its encoded fields, in the order they were added.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// Adds an integer or enum field.
    pub fn int(mut self, field: u32, value: i64) -> Self {
        self.tag(field, 0);
        // Negative numbers are ten bytes of two's complement, as the format has it for int64.
        self.varint(value as u64);
        self
    }

    /// Adds a 32-bit float field.
    pub fn float(mut self, field: u32, value: f32) -> Self {
        self.tag(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a string or bytes field.
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a nested message.
    pub fn message(self, field: u32, value: Message) -> Self {
        self.bytes(field, value.0)
    }

    /// The encoded message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_format_describes() {
        // The examples of the encoding guide: 150, "testing", a nested 150.
        assert_eq!(Message::default().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let text = Message::default().bytes(2, "testing").into_bytes();
        assert_eq!(text, [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
        let nested = Message::default().message(3, Message::default().int(1, 150)).into_bytes();
        assert_eq!(nested, [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().int(1, -1).into_bytes().len(), 11);
    }
}
