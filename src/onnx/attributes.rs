//! A node's attributes, by name and type.

use super::external::DataFiles;
use super::proto::{self, attribute_type};
use super::tensor::Tensor;
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::fmt::Display;

/// The attributes of a node. Its errors name the node and the attribute.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub node: &'a proto::Node,
}

/// A node for errors: its operator, and its name or else what it computes.
pub(super) fn label(node: &proto::Node) -> String {
    let operator = &node.op_type;
    match (&*node.name, node.output.iter().find(|name| !name.is_empty())) {
        ("", Some(output)) => format!("{operator} node that computes '{output}'"),
        (name, _) => format!("{operator} node '{name}'"),
    }
}

impl<'a> Attributes<'a> {
    pub fn find(&self, name: &str) -> Option<&'a proto::Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An error that names node and attribute.
    pub fn fault(&self, what: &str, expected: impl Display, got: impl Display) -> Error {
        Error::value(format!("{what} of {}", label(self.node)), expected, got)
    }

    pub fn unsupported(&self, what: &str, reason: &str) -> Error {
        Error::unsupported(format!("{what} of {}", label(self.node)), reason)
    }

    /// An attribute, whose value is of this type.
    pub fn typed(&self, name: &str, kind: i32) -> Result<Option<&'a proto::Attribute>> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        attribute.check(kind).map_err(|got| self.fault(name, attribute_type::name(kind), got))?;
        Ok(Some(attribute))
    }

    pub fn integer(&self, name: &str, otherwise: i64) -> Result<i64> {
        Ok(self.typed(name, attribute_type::INT)?.map_or(otherwise, |attribute| attribute.i))
    }

    pub fn float(&self, name: &str, otherwise: f32) -> Result<f32> {
        Ok(self.typed(name, attribute_type::FLOAT)?.map_or(otherwise, |attribute| attribute.f))
    }

    pub fn integers(&self, name: &str) -> Result<Option<&'a [i64]>> {
        Ok(self.typed(name, attribute_type::INTS)?.map(|attribute| &attribute.ints[..]))
    }

    pub fn text(&self, name: &str, otherwise: &str) -> Result<String> {
        let Some(attribute) = self.typed(name, attribute_type::STRING)? else { return Ok(otherwise.to_owned()) };
        String::from_utf8(attribute.s.clone()).map_err(|_| self.fault(name, "text", "bytes that are none"))
    }

    pub fn tensor(&self, name: &str, files: &DataFiles) -> Result<Option<Tensor>> {
        let Some(attribute) = self.typed(name, attribute_type::TENSOR)? else { return Ok(None) };
        let tensor = attribute.t.as_ref().ok_or_else(|| self.fault(name, "a tensor", "none"))?;
        Tensor::new(tensor, &format!("{name} of {}", label(self.node)), files).map(Some)
    }

    /// Refuses attributes of other names than these: what they mean is not known. So is one that is there twice.
    pub fn check_names(&self, is_allowed: impl Fn(&str) -> bool) -> Result<()> {
        let mut names = HashSet::new();
        for attribute in &self.node.attribute {
            let what = format!("attribute {}", attribute.name);
            if !is_allowed(&attribute.name) {
                return Err(self.unsupported(&what, "nothing here computes what it asks for"));
            }
            if !names.insert(&*attribute.name) {
                return Err(self.fault(&what, "it once", "it twice"));
            }
        }
        Ok(())
    }
}
