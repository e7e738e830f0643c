//! Cells that an exporter wrote out as products, sigmoids and hyperbolic tangents, by the pattern of their last step.

use super::proto;
use super::scopes::{ScopeId, Scopes, is};
use crate::error::Result;
use std::collections::HashMap;

/// Nodes between a gate and the product that it is computed by, at most.
const STEPS: usize = 16;

/// A cell that is likely one: what it is, and the product of its weights.
pub(super) struct Unrolled {
    pub cell: &'static str,
    /// The node that computes h.
    pub node: String,
    /// Inputs of the products that its gates come from.
    pub weights: Vec<String>,
}

/// The nodes of one graph or body, by what they compute.
struct Nodes {
    nodes: Vec<proto::Node>,
    by_output: HashMap<String, usize>,
}

/// The likely cells in a graph or body.
pub(super) fn find(scopes: &Scopes, scope: ScopeId) -> Result<Vec<Unrolled>> {
    let nodes = scopes.nodes_of(scope).map(|node| scopes.node(node)).collect::<Result<Vec<_>>>()?;
    let outputs = nodes.iter().enumerate().flat_map(|(i, node)| node.output.iter().map(move |name| (name.clone(), i)));
    let by_output = outputs.collect();
    let nodes = Nodes { nodes, by_output };
    let cell = |node: &proto::Node| {
        let (cell, gate) = nodes.lstm(node).or_else(|| nodes.gru(node)).or_else(|| nodes.elman(node))?;
        Some(Unrolled { cell, node: super::attributes::label(node), weights: nodes.weights(gate) })
    };
    Ok(nodes.nodes.iter().filter_map(cell).collect())
}

impl Nodes {
    /// The node that computes an input of another one.
    fn before(&self, node: &proto::Node, input: usize) -> Option<&proto::Node> {
        self.by_output.get(node.input.get(input)?).map(|&i| &self.nodes[i])
    }

    /// The nodes that compute both inputs, in either order, where they have these operators.
    fn pair(&self, node: &proto::Node, operators: [&str; 2]) -> Option<[&proto::Node; 2]> {
        let both = [self.before(node, 0)?, self.before(node, 1)?];
        let fits = |[a, b]: [&proto::Node; 2]| is(a, operators[0]) && is(b, operators[1]);
        [both, [both[1], both[0]]].into_iter().find(|&both| fits(both))
    }

    /// h = o · tanh(f · c + i · g).
    fn lstm<'a>(&'a self, node: &'a proto::Node) -> Option<(&'static str, &'a proto::Node)> {
        let [output, tanh] = self.pair(node, ["Sigmoid", "Tanh"]).filter(|_| is(node, "Mul"))?;
        let sum = self.before(tanh, 0).filter(|sum| is(sum, "Add"))?;
        self.pair(sum, ["Mul", "Mul"])?;
        Some(("LSTM", output))
    }

    /// h' = (1 − z) · n + z · h, or n + z · (h − n).
    fn gru<'a>(&'a self, node: &'a proto::Node) -> Option<(&'static str, &'a proto::Node)> {
        if !is(node, "Add") {
            return None;
        }
        let of_two = self.pair(node, ["Mul", "Mul"]).and_then(|products| {
            let new = |product: &'a proto::Node| self.pair(product, ["Sub", "Tanh"]).map(|[_, new]| new);
            products.into_iter().find_map(new)
        });
        let of_difference = || {
            let [product, new] = self.pair(node, ["Mul", "Tanh"])?;
            self.pair(product, ["Sub", "Sigmoid"]).map(|_| new)
        };
        of_two.or_else(of_difference).map(|new| ("GRU", new))
    }

    /// h = tanh(W·x + R·h + b), or relu of it.
    fn elman<'a>(&'a self, node: &'a proto::Node) -> Option<(&'static str, &'a proto::Node)> {
        if !is(node, "Tanh") && !is(node, "Relu") {
            return None;
        }
        let is_product = |node: &proto::Node| is(node, "Gemm") || is(node, "MatMul");
        // A bias may be added to either product, or to their sum.
        let mut sum = self.before(node, 0).filter(|sum| is(sum, "Add"))?;
        let product = |node: &proto::Node, input| -> bool {
            self.before(node, input).is_some_and(|before| {
                is_product(before)
                    || (is(before, "Add") && (0..2).any(|i| self.before(before, i).is_some_and(is_product)))
            })
        };
        if !(product(sum, 0) && product(sum, 1)) {
            sum = (0..2).filter_map(|input| self.before(sum, input)).find(|before| is(before, "Add"))?;
        }
        (product(sum, 0) && product(sum, 1)).then_some(("RNN", node))
    }

    /// What the products multiply by that a gate comes from.
    fn weights(&self, gate: &proto::Node) -> Vec<String> {
        let mut weights = Vec::new();
        let mut open = vec![(gate, 0)];
        while let Some((node, steps)) = open.pop() {
            if is(node, "Gemm") || is(node, "MatMul") {
                weights.extend(node.input.get(1).cloned());
            } else if steps < STEPS && open.len() < STEPS {
                let before = (0..node.input.len()).rev().filter_map(|input| self.before(node, input));
                open.extend(before.map(|node| (node, steps + 1)));
            }
        }
        weights.truncate(2);
        weights
    }
}
