//! Reads of several things at once.

use crate::common::*;
use ndarray::{Array1, arr1};
use wgrnn::{Cell, Device, Error, Parameters, RnnConfig, SessionOptions, Tensor, read_together};

#[test]
fn several_things_are_read_together_as_each_alone() {
    for device in [gpu(), Device::cpu()] {
        let config = RnnConfig::new(Cell::Lstm, 3, 5).layers(2);
        let session = rnn(&device, &config).session(SessionOptions::new(4, 2)).unwrap();
        session.input().write(Random::new(1).array([4, 2, 3]).view()).unwrap();
        session.run().unwrap();
        let words = Tensor::from_array(&device, arr1(&[7_u32, 8, 9]).view()).unwrap();
        let parameters = Parameters::new(&device, [("a".to_owned(), Array1::ones(3).view().into_dyn())]).unwrap();

        let all = (session.output(), session.state(), (&words, Some(&parameters)), vec![&words, &words]);
        let (y, state, (read, named), twice) = read_together(&all).unwrap();
        assert_eq!(y, session.output().read().unwrap());
        assert_eq!(state, session.state().read().unwrap());
        assert!(state.h.iter().any(|&h| h != 0.0) && state.c.is_some());
        assert_eq!(read, arr1(&[7, 8, 9]).into_dyn());
        assert_eq!(named.unwrap(), parameters.read().unwrap());
        assert_eq!(twice, [read.clone(), read]);
    }
}

#[test]
fn nothing_at_all_is_read_as_nothing() {
    assert!(read_together(&Vec::<Tensor>::new()).unwrap().is_empty());
    assert!(read_together(&None::<Tensor>).unwrap().is_none());
}

#[test]
fn things_of_two_devices_are_not_read_together() {
    let [a, b] = [gpu(), Device::cpu()].map(|device| Tensor::<f32>::zeros(&device, &[3]).unwrap());
    for both in [(&a, &b), (&b, &a)] {
        let error = read_together(&both).unwrap_err();
        assert!(matches!(error, Error::OtherDevice { .. }), "{error}");
    }
}
