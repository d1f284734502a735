//! The network as a graph.

use protobuf::{Message, ProtobufError};
use tensorboard_proto::{
    attr_value::{AttrValue, AttrValue_ListValue},
    graph::GraphDef,
    node_def::NodeDef,
    tensor_shape::{TensorShapeProto, TensorShapeProto_Dim},
};

/// A network as TensorBoard draws it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// Its nodes, in any order.
    pub nodes: Vec<Node>,
}

/// A node of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// A name that no other node has, of letters, digits and `_-.`. Nodes whose names begin alike up to a `/` are in one box.
    pub name: String,
    /// What it does, such as `Conv2d`.
    pub op: String,
    /// The names of the nodes that it takes its input from.
    pub inputs: Vec<String>,
    /// The shape of what it gives, -1 where a size is not known. Empty: nothing is said of it.
    pub shape: Vec<i64>,
    /// Whatever else there is to say, by name.
    pub attributes: Vec<(String, String)>,
}

impl Graph {
    /// A serialised `GraphDef`.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, ProtobufError> {
        let mut graph = GraphDef::new();
        graph.mut_versions().set_producer(22);
        graph.set_node(self.nodes.iter().map(Node::proto).collect());
        graph.write_to_bytes()
    }
}

impl Node {
    fn proto(&self) -> NodeDef {
        let mut node = NodeDef::new();
        node.set_name(self.name.clone());
        node.set_op(self.op.clone());
        node.set_input(self.inputs.iter().cloned().collect());
        for (name, text) in &self.attributes {
            let mut value = AttrValue::new();
            value.set_s(text.clone().into_bytes());
            node.mut_attr().insert(name.clone(), value);
        }
        if !self.shape.is_empty() {
            let mut list = AttrValue_ListValue::new();
            list.mut_shape().push(shape(&self.shape));
            let mut value = AttrValue::new();
            value.set_list(list);
            // The attribute from which TensorBoard writes sizes at edges.
            node.mut_attr().insert("_output_shapes".into(), value);
        }
        node
    }
}

/// A shape by its sizes.
pub fn shape(sizes: &[i64]) -> TensorShapeProto {
    let mut shape = TensorShapeProto::new();
    for size in sizes {
        let mut dim = TensorShapeProto_Dim::new();
        dim.set_size(*size);
        shape.mut_dim().push(dim);
    }
    shape
}
