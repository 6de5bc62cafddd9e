#!/usr/bin/env bash
# A real Slurm of one node for tests: loopback only, no systemd, no accounting.  slurm.sh start | stop | stop-controller
# Root. SLURM_TEST_DIR holds state, logs and process numbers. The config has to be /etc/slurm/slurm.conf, since the job
# step plugin drops variables such as SLURM_CONF; one that is not ours is left alone and ends this script.
set -euo pipefail
dir=${SLURM_TEST_DIR:-/tmp/phi_deid_slurm}
conf=/etc/slurm/slurm.conf mark='# written by tests/deployment/slurm.sh' host=$(hostname -s)
unset SLURM_CONF

alive() { [ -s "$dir/run/$1.pid" ] && kill -0 "$(cat "$dir/run/$1.pid")" 2>/dev/null; }

write_config() {
    if [ -e "$conf" ] && ! grep -qF -e "$mark" -e '# made by slurm-ci.sh' "$conf"; then
        echo "$conf is there and not of these tests: this machine has a Slurm of its own" >&2
        exit 1
    fi
    mkdir -p "$dir"/{state,spool,log,run} /etc/slurm
    chmod 755 "$dir"
    cat >"$conf" <<CONF
$mark
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
MinJobAge=300
ReturnToService=2
KillWait=2
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    write_config
    if ! alive munged; then
        [ -s "$dir/munge.key" ] || (umask 077 && dd if=/dev/urandom of="$dir/munge.key" bs=1 count=128 status=none)
        munged --force --key-file="$dir/munge.key" --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
            --log-file="$dir/log/munged.log" --seed-file="$dir/run/munged.seed"
    fi
    alive slurmctld || slurmctld -f "$conf"
    alive slurmd || slurmd -f "$conf"
    for _ in $(seq 100); do
        case "$(sinfo -h -p test -o %T 2>/dev/null || true)" in
            idle | mixed | allocated) return 0 ;;
            *) scontrol update NodeName="$host" State=RESUME 2>/dev/null || true ;;
        esac
        sleep 0.2
    done
    echo "Slurm did not come up" >&2
    tail -20 "$dir"/log/*.log >&2
    return 1
}

end() {
    local pid
    alive "$1" || return 0
    pid=$(cat "$dir/run/$1.pid")
    kill "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
}

stop() {
    alive slurmctld && { scancel --me || true; sleep 1; }
    for daemon in slurmctld slurmd munged; do end "$daemon"; done
    rm -rf "$dir"
    grep -qF "$mark" "$conf" 2>/dev/null && rm "$conf"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    stop-controller) end slurmctld ;; # with kill -9 it loses the jobs of the last seconds, and their numbers are given again
    *) echo "usage: $0 start|stop|stop-controller" >&2; exit 2 ;;
esac
