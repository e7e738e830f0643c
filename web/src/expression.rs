//! Functions of single elements as JavaScript writes them, for `Tape.map`.

use crate::activation::activation;
use crate::arguments;
use crate::fault::{Fault, Result};
use crate::handles::{Handle, handle};
use js_sys::{Array, Function};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgrnn::Activation;
use wgrnn::plan::Value;

/// Steps that a function may have: more than one kernel takes, and few enough to keep.
const MAX_STEPS: usize = 1024;

/// A step of a function; numbers are those of earlier steps.
#[derive(Clone, Copy)]
enum Step {
    Input(usize),
    Number(f32),
    Coordinate(usize),
    Activation(Activation, usize),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Choose(usize, usize, usize),
}

#[derive(Clone, Copy)]
enum Unary {
    Neg,
    Exp,
    Ln,
    Sqrt,
    Abs,
}

#[derive(Clone, Copy)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    Less,
    Equal,
}

/// The steps of one function, while it is written.
struct Steps {
    list: Vec<Step>,
    open: bool,
}

/// One element of a value inside of a function that `Tape.map` applies to every element, or what was computed from such elements.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Expression {
    steps: Rc<RefCell<Steps>>,
    at: usize,
}

impl Handle for Expression {
    const CLASS: &'static str = "Expression";
}

impl Expression {
    fn push(&self, step: Step) -> Result<Self> {
        let mut steps = self.steps.borrow_mut();
        if !steps.open {
            return Err(Fault::new("expression: it is used after the function that it was an argument of has ended"));
        }
        if steps.list.len() == MAX_STEPS {
            return Err(Fault::new("mapped function: more terms than one kernel may have: make several maps of it"));
        }
        steps.list.push(step);
        Ok(Self { steps: Rc::clone(&self.steps), at: steps.list.len() - 1 })
    }

    /// A number, or an expression of the same function.
    fn operand(&self, other: &JsValue) -> Result<usize> {
        if let Some(number) = other.as_f64() {
            return Ok(self.push(Step::Number(number as f32))?.at);
        }
        let other: Self =
            handle("operand", other).map_err(|_| arguments::fault("operand", "an Expression or a number", other))?;
        if !Rc::ptr_eq(&self.steps, &other.steps) {
            return Err(Fault::new("operand: expected an Expression of this function, got one of another function"));
        }
        Ok(other.at)
    }

    fn unary(&self, function: Unary) -> Result<Self> {
        self.push(Step::Unary(function, self.at))
    }

    fn binary(&self, function: Binary, other: &JsValue) -> Result<Self> {
        let other = self.operand(other)?;
        self.push(Step::Binary(function, self.at, other))
    }
}

#[wasm_bindgen]
impl Expression {
    /// The sum of both.
    pub fn add(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Add, other)
    }

    /// It minus the other one.
    pub fn sub(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Sub, other)
    }

    /// The product of both.
    pub fn mul(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Mul, other)
    }

    /// It divided by the other one.
    pub fn div(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Div, other)
    }

    /// The larger one of two; NaN if either is. Equal ones share the derivative.
    pub fn max(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Max, other)
    }

    /// The smaller one of two; NaN if either is. Equal ones share the derivative.
    pub fn min(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Min, other)
    }

    /// 1 if it is less than the other one, else 0, as for NaN. The derivative is 0.
    pub fn less(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Less, other)
    }

    /// 1 if the two are equal, else 0, as for NaN. The derivative is 0.
    pub fn equal(&self, #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue) -> Result<Self> {
        self.binary(Binary::Equal, other)
    }

    /// It with the other sign.
    pub fn neg(&self) -> Result<Self> {
        self.unary(Unary::Neg)
    }

    /// e to its power.
    pub fn exp(&self) -> Result<Self> {
        self.unary(Unary::Exp)
    }

    /// Its natural logarithm; NaN for negative numbers.
    pub fn ln(&self) -> Result<Self> {
        self.unary(Unary::Ln)
    }

    /// Its square root; NaN for negative numbers.
    pub fn sqrt(&self) -> Result<Self> {
        self.unary(Unary::Sqrt)
    }

    /// Its absolute value, whose derivative at 0 is 0.
    pub fn abs(&self) -> Result<Self> {
        self.unary(Unary::Abs)
    }

    /// Its hyperbolic tangent.
    pub fn tanh(&self) -> Result<Self> {
        self.push(Step::Activation(Activation::Tanh, self.at))
    }

    /// The logistic function σ of it.
    pub fn sigmoid(&self) -> Result<Self> {
        self.push(Step::Activation(Activation::Sigmoid, self.at))
    }

    /// It, or 0 if it is negative.
    pub fn relu(&self) -> Result<Self> {
        self.push(Step::Activation(Activation::Relu, self.at))
    }

    /// An activation of it.
    pub fn activation(&self, #[wasm_bindgen(unchecked_param_type = "Activation")] kind: &JsValue) -> Result<Self> {
        self.push(Step::Activation(activation("activation", kind)?, self.at))
    }

    /// `one` where it is not 0, else `other`. What is not chosen may be NaN or infinite, and the derivative by it is 0.
    pub fn choose(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Expression | number")] one: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Expression | number")] other: &JsValue,
    ) -> Result<Self> {
        let (one, other) = (self.operand(one)?, self.operand(other)?);
        self.push(Step::Choose(self.at, one, other))
    }

    /// A number.
    pub fn number(&self, #[wasm_bindgen(unchecked_param_type = "number")] value: &JsValue) -> Result<Self> {
        self.push(Step::Number(arguments::number("value", value)? as f32))
    }

    /// The index along an axis of the result, as a number.
    pub fn coordinate(&self, #[wasm_bindgen(unchecked_param_type = "number")] axis: &JsValue) -> Result<Self> {
        self.push(Step::Coordinate(arguments::size("axis", axis)?))
    }

    /// The same expression again.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

/// What a function of JavaScript computes.
pub struct Mapped {
    steps: Vec<Step>,
    result: usize,
}

impl Mapped {
    /// Calls the function with an expression for each of so many values.
    pub fn new(count: usize, function: &Function) -> Result<Self> {
        let list = (0..count).map(Step::Input).collect();
        let steps = Rc::new(RefCell::new(Steps { list, open: true }));
        let inputs = (0..count).map(|at| JsValue::from(Expression { steps: Rc::clone(&steps), at })).collect::<Array>();
        let result = function.call1(&JsValue::UNDEFINED, &inputs);
        steps.borrow_mut().open = false;
        let result = result.map_err(|error| Fault::thrown("mapped function", &error))?;
        let result: Expression = handle("result of the mapped function", &result)?;
        if !Rc::ptr_eq(&steps, &result.steps) {
            return Err(Fault::new(
                "result of the mapped function: expected an Expression of it, got one of another function",
            ));
        }
        let steps = std::mem::take(&mut steps.borrow_mut().list);
        Ok(Self { steps, result: result.at })
    }

    /// Puts it on a tape.
    pub fn record(&self, tape: &mut wgrnn::Tape, values: &[&Value]) -> Result<Value> {
        Ok(match *values {
            [a] => tape.map([a], |inputs| self.replay(&inputs)),
            [a, b] => tape.map([a, b], |inputs| self.replay(&inputs)),
            [a, b, c] => tape.map([a, b, c], |inputs| self.replay(&inputs)),
            [a, b, c, d] => tape.map([a, b, c, d], |inputs| self.replay(&inputs)),
            [a, b, c, d, e] => tape.map([a, b, c, d, e], |inputs| self.replay(&inputs)),
            [a, b, c, d, e, f] => tape.map([a, b, c, d, e, f], |inputs| self.replay(&inputs)),
            _ => return Err(Fault::new(format!("values that are mapped: expected 1 to 6, got {}", values.len()))),
        }?)
    }

    fn replay<'t>(&self, inputs: &[wgrnn::kernels::Expression<'t>]) -> wgrnn::kernels::Expression<'t> {
        let mut done: Vec<wgrnn::kernels::Expression<'t>> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            done.push(match *step {
                Step::Input(at) => inputs[at],
                Step::Number(number) => inputs[0].number(number),
                Step::Coordinate(axis) => inputs[0].coordinate(axis),
                Step::Activation(function, a) => done[a].activation(function),
                Step::Unary(function, a) => match function {
                    Unary::Neg => -done[a],
                    Unary::Exp => done[a].exp(),
                    Unary::Ln => done[a].ln(),
                    Unary::Sqrt => done[a].sqrt(),
                    Unary::Abs => done[a].abs(),
                },
                Step::Binary(function, a, b) => {
                    let (a, b) = (done[a], done[b]);
                    match function {
                        Binary::Add => a + b,
                        Binary::Sub => a - b,
                        Binary::Mul => a * b,
                        Binary::Div => a / b,
                        Binary::Max => a.max(b),
                        Binary::Min => a.min(b),
                        Binary::Less => a.less(b),
                        Binary::Equal => a.equal(b),
                    }
                }
                Step::Choose(a, one, other) => done[a].choose(done[one], done[other]),
            });
        }
        done[self.result]
    }
}
