//! The list of kernels.

/// Gives the list of kernels to a macro: each with its documentation, its variant of [`Kernel`] and its name.
macro_rules! for_each_kernel {
    ($then:ident) => {
        $then! {
            /// Batched matrix product of strided A and packed B, with bias.
            Gemm gemm
            /// A matrix with its bias into the layout that products read.
            Pack pack
            /// Rows of a table by index.
            Gather gather
            /// A function of each element.
            Apply apply
            /// The column of each row's largest element.
            Argmax argmax
            /// A linear recurrence over many steps.
            Scan scan
            /// The same backwards.
            ScanBackward scan_backward
            /// One time step with layer norms, after its product.
            NormStep norm_step
            /// The same backwards.
            NormStepBackward norm_step_backward
            /// One phase of one time step.
            Step step
            /// Many time steps at once.
            Sequence sequence
            /// Gradient of a matrix: rows times rows, summed over them.
            Outer outer
            /// One phase of one time step backwards.
            StepBackward step_backward
            /// Many time steps backwards.
            SequenceBackward sequence_backward
            /// Numbers dropped at random.
            Dropout dropout
            /// Masks of zoneout and recurrent dropout.
            Masks masks
            /// Lists of rows with equal indices.
            Links links
            /// Rows added to those of a table by index.
            ScatterAdd scatter_add
            /// Sums and counts.
            Reduce reduce
            /// Softmax cross-entropy and its gradient.
            CrossEntropy cross_entropy
            /// Squared error or binary cross-entropy, and its gradient.
            ElementLoss element_loss
            /// Whether a step of training is taken.
            Guard guard
            /// Gradient descent with momentum.
            Sgd sgd
            /// Adam and AdamW.
            Adam adam
            /// Many time steps at once, on many workgroups that hand values on.
            Grid grid
            /// A step of each of some layers, each a step behind the one below.
            Wave wave
            /// What follows a [`Kernel::Grid`]: its last states, or its work once more.
            Settle settle
        }
    };
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Reads a packed matrix: from a texture in variants that say so.
    Matrix,
    /// Reads rows that are multiplied: through a window of a uniform buffer in variants that say so.
    Rows,
    /// Writes it, and may read it.
    Write,
}

macro_rules! list {
    ($($(#[$doc:meta])* $kernel:ident $name:ident)*) => {
        /// The kernels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kernel {
            $($(#[$doc])* $kernel,)*
        }

        impl Kernel {
            /// Every kernel: tests, benches and `doctor` go through this list.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$kernel),*];
        }
    };
}

for_each_kernel!(list);

pub(crate) use for_each_kernel;
