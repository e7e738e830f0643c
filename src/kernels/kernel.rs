//! The list of kernels.

/// Gives the list of kernels to a macro: each with its documentation, its variant of [`Kernel`] and its name.
macro_rules! for_each_kernel {
    ($then:ident) => {
        $then! {
            /// Product of matrices: strided A times packed B, plus a bias, for a batch of them.
            Gemm gemm
            /// Copies a matrix and its bias into the layout that products read.
            Pack pack
            /// Copies rows of a table, by index or in order.
            Gather gather
            /// Applies a function to each element.
            Apply apply
            /// Computes a function of the elements of several values.
            Map map
            /// Sums a function of the elements of several values along axes, or finds the largest.
            Fold fold
            /// Finds the column of each row's largest element.
            Argmax argmax
            /// Draws a column of each row by its probability.
            Sample sample
            /// Finds the best continuations of the beams of a beam search.
            Beam beam
            /// What queries see of a memory: attention.
            Attend attend
            /// Many time steps of a cell without a matrix R.
            Scan scan
            /// Many time steps of a cell without a matrix R, backwards.
            ScanBackward scan_backward
            /// One time step of a cell with layer norms, after its product with R.
            NormStep norm_step
            /// One time step of a cell with layer norms, backwards.
            NormStepBackward norm_step_backward
            /// One phase of one time step: product with R, and gates.
            Step step
            /// Many time steps; a workgroup keeps the state of its sequences.
            Sequence sequence
            /// Gradient of a matrix: outer products of rows, summed over all rows.
            Outer outer
            /// One phase of one time step, backwards.
            StepBackward step_backward
            /// Many time steps, backwards.
            SequenceBackward sequence_backward
            /// Sets numbers to 0 at random and scales the others.
            Dropout dropout
            /// Draws the masks of zoneout and of recurrent dropout.
            Masks masks
            /// Finds rows with equal indices, for `ScatterAdd`.
            Links links
            /// Adds rows to the rows of a table, by index.
            ScatterAdd scatter_add
            /// Sums numbers, squares, or counts of valid targets.
            Reduce reduce
            /// Softmax cross-entropy and its gradient.
            CrossEntropy cross_entropy
            /// Squared error or binary cross-entropy, and its gradient.
            ElementLoss element_loss
            /// Decides whether a step of training is taken, and how gradients are scaled.
            Guard guard
            /// Gradient descent with momentum.
            Sgd sgd
            /// The optimisers Adam and AdamW.
            Adam adam
            /// The optimiser RMSprop.
            RmsProp rms_prop
            /// Moving averages of weights.
            Average average
            /// The mean of losses over batches.
            RunningMean running_mean
            /// Many time steps, spread over many workgroups that exchange values.
            Grid grid
            /// One time step of each of several layers, each a step behind the one below.
            Wave wave
            /// Follows a [`Kernel::Grid`]: takes over its last states, or makes `Sequence` do its work again.
            Settle settle
            /// The logarithm of the sum of each row's exponentials.
            LogSumExp log_sum_exp
            /// Checks the sequences of a CTC loss, and finds their equal labels.
            CtcLabels ctc_labels
            /// Sums over the alignments of a CTC loss, forwards and backwards.
            CtcLattice ctc_lattice
            /// The gradient of a CTC loss.
            CtcGradient ctc_gradient
            /// The labels of the most probable alignment for CTC.
            CtcGreedy ctc_greedy
            /// Prefix beam search for CTC.
            CtcBeam ctc_beam
            /// A kernel from outside of the library.
            Own own
        }
    };
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// The kernel only reads the buffer.
    Read,
    /// The kernel reads a packed matrix from the buffer, or from a texture if [`Reads::texture`](super::Reads::texture)
    /// is set.
    Matrix,
    /// The kernel reads the rows of a product, through a window of a uniform buffer if
    /// [`Reads::uniform`](super::Reads::uniform) is set.
    Rows,
    /// The kernel writes the buffer, and may read it too.
    Write,
}

macro_rules! list {
    ($($(#[$doc:meta])* $kernel:ident $name:ident)*) => {
        /// The kernels. Each is a shader in `shaders/` with a twin in `src/cpu/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
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
