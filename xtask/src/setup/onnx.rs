//! all-MiniLM-L6-v2 from safetensors to ONNX: a pure function of the weights, byte for byte the same
//! everywhere, so that its output can be pinned. Mean pooling and normalisation are the caller's.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use super::protobuf::Message;

const LAYERS: usize = 6;
const HEADS: i64 = 12;
const HEAD_DIMENSIONS: i64 = 32;
const DIMENSIONS: i64 = HEADS * HEAD_DIMENSIONS;
const LAYER_NORM_EPSILON: f32 = 1e-12;

// Field numbers and enum values of onnx.proto.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// Builds the model file (opset 17, dynamic batch and sequence) from the bytes of `model.safetensors`.
///
/// Inputs `input_ids`, `attention_mask`, `token_type_ids` (i64, batch × sequence); output
/// `last_hidden_state` (f32, batch × sequence × 384).
pub fn from_safetensors(safetensors: &[u8]) -> Result<Vec<u8>> {
    let weights = Weights::parse(safetensors)?;
    let mut graph = Graph::default();
    let hidden = graph.bert(&weights)?;
    Ok(graph.finish(&hidden))
}

/// The tensors of a safetensors file, borrowed from it.
struct Weights<'a> {
    header: HashMap<String, TensorInfo>,
    data: &'a [u8],
}

#[derive(serde::Deserialize)]
struct TensorInfo {
    #[serde(default)]
    dtype: String,
    #[serde(default)]
    shape: Vec<i64>,
    #[serde(default)]
    data_offsets: [usize; 2],
}

impl<'a> Weights<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>().context("safetensors: too short")?;
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        ensure!(length <= rest.len(), "safetensors: header is cut");
        let (header, data) = rest.split_at(length);
        Ok(Self { header: serde_json::from_slice(header).context("safetensors: header")?, data })
    }

    fn get(&self, name: &str) -> Result<(&[i64], &'a [u8])> {
        let info = self.header.get(name).with_context(|| format!("safetensors: no tensor {name}"))?;
        ensure!(info.dtype == "F32", "safetensors: {name} is {}, expected F32", info.dtype);
        let [start, end] = info.data_offsets;
        let data = self.data.get(start..end).with_context(|| format!("safetensors: {name} is cut"))?;
        let expected = info.shape.iter().product::<i64>() * 4;
        ensure!(data.len() as i64 == expected, "safetensors: {name} does not fit its shape");
        Ok((&info.shape, data))
    }
}

/// An attribute of an operator.
enum Attribute<'a> {
    Int(&'static str, i64),
    Float(&'static str, f32),
    Ints(&'static str, &'a [i64]),
}

/// Nodes and constants, in the order they were made; a value is known by its name.
#[derive(Default)]
struct Graph {
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    names: usize,
}

impl Graph {
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn constant(&mut self, shape: &[i64], data_type: i64, raw: &[u8]) -> String {
        let name = self.name("c");
        let tensor = shape.iter().fold(Message::default(), |tensor, &dim| tensor.int(1, dim));
        self.initializers.push(tensor.int(2, data_type).bytes(8, &name).bytes(9, raw));
        name
    }

    fn scalar(&mut self, value: f32) -> String {
        self.constant(&[], FLOAT, &value.to_le_bytes())
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&[values.len() as i64], INT64, &raw)
    }

    fn weight(&mut self, weights: &Weights, name: &str) -> Result<String> {
        let (shape, data) = weights.get(name)?;
        Ok(self.constant(shape, FLOAT, data))
    }

    fn op(&mut self, op_type: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let output = self.name("t");
        self.push_node(op_type, inputs, &output, attributes);
        output
    }

    fn push_node(&mut self, op_type: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = node.bytes(2, output).bytes(3, format!("{op_type}_{output}")).bytes(4, op_type);
        self.nodes.push(attributes.iter().fold(node, |node, attribute| {
            let attribute = match *attribute {
                Attribute::Float(name, value) => {
                    Message::default().bytes(1, name).float(2, value).int(20, 1)
                }
                Attribute::Int(name, value) => Message::default().bytes(1, name).int(3, value).int(20, 2),
                Attribute::Ints(name, values) => {
                    let message = Message::default().bytes(1, name);
                    values.iter().fold(message, |message, &value| message.int(8, value)).int(20, 7)
                }
            };
            node.message(5, attribute)
        }));
    }

    /// x · weightᵀ + bias; the file keeps the weight as output × input, MatMul wants it transposed.
    fn linear(&mut self, weights: &Weights, x: &str, name: &str) -> Result<String> {
        let (shape, data) = weights.get(&format!("{name}.weight"))?;
        ensure!(shape.len() == 2, "safetensors: {name} is no matrix");
        let (rows, columns) = (shape[0] as usize, shape[1] as usize);
        let (floats, _) = data.as_chunks::<4>();
        let mut transposed = Vec::with_capacity(data.len());
        for column in 0..columns {
            for row in 0..rows {
                transposed.extend_from_slice(&floats[row * columns + column]);
            }
        }
        let weight = self.constant(&[shape[1], shape[0]], FLOAT, &transposed);
        let bias = self.weight(weights, &format!("{name}.bias"))?;
        let product = self.op("MatMul", &[x, &weight], &[]);
        Ok(self.op("Add", &[&product, &bias], &[]))
    }

    fn layer_norm(&mut self, weights: &Weights, x: &str, name: &str) -> Result<String> {
        let scale = self.weight(weights, &format!("{name}.weight"))?;
        let bias = self.weight(weights, &format!("{name}.bias"))?;
        let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", LAYER_NORM_EPSILON)];
        Ok(self.op("LayerNormalization", &[x, &scale, &bias], &attributes))
    }

    fn bert(&mut self, weights: &Weights) -> Result<String> {
        let mut x = self.embeddings(weights)?;
        let mask = self.mask();
        let heads = self.integers(&[0, 0, HEADS, HEAD_DIMENSIONS]);
        let merged = self.integers(&[0, 0, DIMENSIONS]);
        let scale = self.scalar((1.0 / (HEAD_DIMENSIONS as f64).sqrt()) as f32);
        for layer in 0..LAYERS {
            let name = format!("encoder.layer.{layer}");
            let project = |graph: &mut Self, part: &str, perm: &[i64]| -> Result<String> {
                let y = graph.linear(weights, &x, &format!("{name}.attention.self.{part}"))?;
                let y = graph.op("Reshape", &[&y, &heads], &[]);
                Ok(graph.op("Transpose", &[&y], &[Attribute::Ints("perm", perm)]))
            };
            let query = project(self, "query", &[0, 2, 1, 3])?;
            let key = project(self, "key", &[0, 2, 3, 1])?;
            let value = project(self, "value", &[0, 2, 1, 3])?;
            let scores = self.op("MatMul", &[&query, &key], &[]);
            let scores = self.op("Mul", &[&scores, &scale], &[]);
            let scores = self.op("Add", &[&scores, &mask], &[]);
            let attention = self.op("Softmax", &[&scores], &[Attribute::Int("axis", -1)]);
            let context = self.op("MatMul", &[&attention, &value], &[]);
            let context = self.op("Transpose", &[&context], &[Attribute::Ints("perm", &[0, 2, 1, 3])]);
            let context = self.op("Reshape", &[&context, &merged], &[]);
            let output = self.linear(weights, &context, &format!("{name}.attention.output.dense"))?;
            let sum = self.op("Add", &[&x, &output], &[]);
            x = self.layer_norm(weights, &sum, &format!("{name}.attention.output.LayerNorm"))?;
            let inner = self.linear(weights, &x, &format!("{name}.intermediate.dense"))?;
            let inner = self.gelu(&inner);
            let output = self.linear(weights, &inner, &format!("{name}.output.dense"))?;
            let sum = self.op("Add", &[&x, &output], &[]);
            x = self.layer_norm(weights, &sum, &format!("{name}.output.LayerNorm"))?;
        }
        Ok(x)
    }

    fn embeddings(&mut self, weights: &Weights) -> Result<String> {
        let shape = self.op("Shape", &["input_ids"], &[]);
        let (zero, one) = (self.integers(&[0]), self.integers(&[1]));
        let length = self.op("Gather", &[&shape, &one], &[Attribute::Int("axis", 0)]);
        let positions = self.weight(weights, "embeddings.position_embeddings.weight")?;
        let positions = self.op("Slice", &[&positions, &zero, &length, &zero], &[]);
        let words = self.weight(weights, "embeddings.word_embeddings.weight")?;
        let words = self.op("Gather", &[&words, "input_ids"], &[Attribute::Int("axis", 0)]);
        let types = self.weight(weights, "embeddings.token_type_embeddings.weight")?;
        let types = self.op("Gather", &[&types, "token_type_ids"], &[Attribute::Int("axis", 0)]);
        let sum = self.op("Add", &[&words, &types], &[]);
        let sum = self.op("Add", &[&sum, &positions], &[]);
        self.layer_norm(weights, &sum, "embeddings.LayerNorm")
    }

    /// 0 for a token, a large negative number for padding: added to the attention scores.
    fn mask(&mut self) -> String {
        let axes = self.integers(&[1, 2]);
        let mask = self.op("Unsqueeze", &["attention_mask", &axes], &[]);
        let mask = self.op("Cast", &[&mask], &[Attribute::Int("to", FLOAT)]);
        let one = self.scalar(1.0);
        let padding = self.op("Sub", &[&one, &mask], &[]);
        let large = self.scalar(-1e9);
        self.op("Mul", &[&padding, &large], &[])
    }

    /// The exact GELU by erf, as the model was trained with, not its tanh approximation.
    fn gelu(&mut self, x: &str) -> String {
        let root = self.scalar(std::f32::consts::SQRT_2);
        let (one, half) = (self.scalar(1.0), self.scalar(0.5));
        let y = self.op("Div", &[x, &root], &[]);
        let y = self.op("Erf", &[&y], &[]);
        let y = self.op("Add", &[&y, &one], &[]);
        let y = self.op("Mul", &[x, &y], &[]);
        self.op("Mul", &[&y, &half], &[])
    }

    fn finish(mut self, hidden: &str) -> Vec<u8> {
        self.push_node("Identity", &[hidden], "last_hidden_state", &[]);
        let graph = self.nodes.into_iter().fold(Message::default(), |graph, node| graph.message(1, node));
        let graph = graph.bytes(2, "minilm");
        let graph = self.initializers.into_iter().fold(graph, |graph, tensor| graph.message(5, tensor));
        let inputs = ["input_ids", "attention_mask", "token_type_ids"];
        let graph =
            inputs.iter().fold(graph, |graph, name| graph.message(11, value_info(name, INT64, None)));
        let graph = graph.message(12, value_info("last_hidden_state", FLOAT, Some(DIMENSIONS)));
        let opset = Message::default().bytes(1, "").int(2, 17);
        Message::default().int(1, 8).bytes(2, "docmill").message(7, graph).message(8, opset).into_bytes()
    }
}

/// A graph input or output of shape batch × sequence, and × `last` where given.
fn value_info(name: &str, element: i64, last: Option<i64>) -> Message {
    let symbol = |name: &str| Message::default().bytes(2, name);
    let shape = Message::default().message(1, symbol("batch")).message(1, symbol("sequence"));
    let shape = match last {
        Some(last) => shape.message(1, Message::default().int(1, last)),
        None => shape,
    };
    let tensor = Message::default().int(1, element).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn tensors_are_found_and_bad_files_refused() {
        let header =
            r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let bytes = file(header, &[0; 8]);
        let weights = Weights::parse(&bytes).unwrap();
        assert_eq!(weights.get("a").unwrap().0, [1, 2]);
        assert!(weights.get("b").is_err());
        let cut = file(header, &[0; 4]);
        assert!(Weights::parse(&cut).unwrap().get("a").is_err());
        assert!(Weights::parse(&bytes[..20]).is_err());
        assert!(from_safetensors(&bytes).is_err());
    }
}
