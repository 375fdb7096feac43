//! The device as its driver sees it: registers, and a bell.
//!
//! What a transport can do and this driver must not (wait for a queue to be
//! taken down, or for a configuration that holds still) panics.

use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use spanheap_virtio_balloon::BalloonTransport;

use super::{Act, Fake, Kind, Rings};

impl BalloonTransport for Fake {
    fn find_doorbell(&mut self, queue: u16) -> bool {
        let state = self.state();
        state.kind(queue).is_some() && !state.no_doorbell
    }
}

impl Transport for Fake {
    fn device_type(&self) -> DeviceType {
        self.state().device
    }

    fn read_device_features(&mut self) -> u64 {
        self.state().offered
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        let mut state = self.state();
        state.accepted = driver_features;
        state.told.push("features".into());
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        let state = self.state();
        state.kind(queue).map_or(0, |_| state.queue_size)
    }

    fn notify(&mut self, queue: u16) {
        let mut state = self.state();
        assert!(state.status.contains(DeviceStatus::DRIVER_OK), "too early");
        // The device keeps the statistics buffer until it wants numbers.
        let act = match state.kind(queue) {
            Some(Kind::Stats) => Act::Sleep,
            _ => state.script.pop_front().unwrap_or(Act::Obey),
        };
        state.perform(queue, act);
    }

    fn get_status(&self) -> DeviceStatus {
        self.state().status
    }

    fn set_status(&mut self, status: DeviceStatus) {
        let mut state = self.state();
        state.told.push(format!("status {}", status.bits()));
        if status.is_empty() {
            let in_use = state.rings.iter().any(Option::is_some);
            state.ignores_reset |= state.ignores_reset_in_use && in_use;
            if !state.ignores_reset {
                state.reset();
            }
            return;
        }
        state.status = status;
        if state.refuses_features {
            state.status -= DeviceStatus::FEATURES_OK;
        }
    }

    fn set_guest_page_size(&mut self, guest_page_size: u32) {
        assert_eq!(guest_page_size, 4096);
        self.state().told.push("page size".into());
    }

    fn requires_legacy_layout(&self) -> bool {
        self.state().legacy
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        let mut state = self.state();
        assert!(size.is_power_of_two() && size <= state.queue_size);
        // What the legacy interface derives from one page number.
        assert_eq!(descriptors % 4096, 0);
        assert_eq!(driver_area, descriptors + 16 * u64::from(size));
        let end = driver_area + 2 * (u64::from(size) + 3);
        assert_eq!(device_area, end.next_multiple_of(4096));
        let rings = Rings {
            size: size as u16,
            descriptors,
            avail: driver_area,
            used: device_area,
            seen: 0,
            told: 0,
        };
        state.told.push(format!("queue {queue}"));
        let old = state.rings[usize::from(queue)].replace(rings);
        assert!(old.is_none(), "a queue is set up once");
    }

    fn queue_unset(&mut self, _queue: u16) {
        panic!("queues are never taken down: some transports wait for ever");
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.state().rings[usize::from(queue)].is_some()
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        panic!("interrupts are not used");
    }

    fn read_config_generation(&self) -> u32 {
        panic!("a hostile generation would never be the same twice");
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let mut state = self.state();
        if state.restless {
            state.num_pages = !state.num_pages;
        }
        let words = [state.num_pages, state.actual, 0, state.poison];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes[..state.config_bytes]
            .get(offset..offset + size_of::<T>())
            .and_then(|bytes| T::read_from_bytes(bytes).ok())
            .ok_or(Error::ConfigSpaceTooSmall)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let bytes = value.as_bytes().try_into().expect("a word");
        let word = u32::from_le_bytes(bytes);
        state.told.push(format!("word at {offset}"));
        assert!(!state.status.is_empty(), "what was reset is left alone");
        match offset {
            4 if state.config_bytes >= 8 => state.actual = word,
            12 if state.config_bytes >= 16 => state.poison = word,
            _ => return Err(Error::ConfigSpaceTooSmall),
        }
        Ok(())
    }
}
