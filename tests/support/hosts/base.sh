# Turns a fresh Debian tree into what all test hosts have in common. Runs inside the tree, by chroot.
set -eu
# Units that a container cannot use, and timers that would act in the middle of a test.
systemctl mask console-getty.service getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer dev-hugepages.mount systemd-pstore.service
# Every host makes its own identity.
rm -f /etc/ssh/ssh_host_* /etc/hostname
: > /etc/machine-id
# Homes without shell start-up files: they would be measured instead of what a test measures.
rm -f /etc/skel/.[bp]* /root/.bashrc /root/.profile
# An ordinary operator. The password is no password: without it, sshd takes the account for locked.
useradd --create-home --shell /bin/bash ops
usermod --password '*' ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops
chmod 440 /etc/sudoers.d/ops
apt-get clean
rm -rf /var/lib/apt/lists/*
