#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    wgrnn_fuzz::files::weights(bytes);
});
