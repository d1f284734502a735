//! Graph of the network.

use protobuf::{Message, ProtobufError};
use tensorboard_proto::{
    attr_value::{AttrValue, AttrValue_ListValue},
    graph::GraphDef,
    node_def::NodeDef,
    tensor_shape::{TensorShapeProto, TensorShapeProto_Dim},
};

/// Graph of a network, as TensorBoard draws it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// Nodes, in any order.
    pub nodes: Vec<Node>,
}

/// Node of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Unique name, of letters, digits and `_-.`. Nodes that share a prefix up to a `/` are drawn in one box.
    pub name: String,
    /// Operation, for example `Conv2d`.
    pub op: String,
    /// Names of the nodes that feed it.
    pub inputs: Vec<String>,
    /// Shape of the output, -1 for an unknown size. Empty if unknown altogether.
    pub shape: Vec<i64>,
    /// Other attributes by name.
    pub attributes: Vec<(String, String)>,
}

impl Graph {
    /// Returns a serialised `GraphDef`.
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
            // TensorBoard labels edges with the sizes in this attribute.
            node.mut_attr().insert("_output_shapes".into(), value);
        }
        node
    }
}

/// Returns the shape with these sizes.
pub fn shape(sizes: &[i64]) -> TensorShapeProto {
    let mut shape = TensorShapeProto::new();
    for size in sizes {
        let mut dim = TensorShapeProto_Dim::new();
        dim.set_size(*size);
        shape.mut_dim().push(dim);
    }
    shape
}
