# Completion of umdev and umdevd for bash: source it, or put it where bash-completion looks
# (/usr/share/bash-completion/completions/umdev, with a link umdevd).

# The first column of a listing of the daemon that the command line means; nothing when there is none.
_umdev_column() {
  local column=$1 directory='' index
  shift
  for ((index = 1; index < ${#COMP_WORDS[@]} - 1; index++)); do
    if [[ ${COMP_WORDS[index]} == --runtime-dir ]]; then directory=${COMP_WORDS[index + 1]}; fi
  done
  umdev ${directory:+--runtime-dir "$directory"} "$@" 2> /dev/null | awk -v n="$column" 'NR > 1 { print $n }'
}

_umdev() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands="parents types list show status metrics watch trace qemu-args create remove migrate probe run"
  commands+=" define undefine modify autostart start stop apply diff cc module"
  local command='' operands=() index choices=''
  for ((index = 1; index < COMP_CWORD; index++)); do
    case ${COMP_WORDS[index]} in
      --runtime-dir | --uuid | --pci | --until | --timeout | --count | --pcap | --netns | --attr | --parent | --type | \
        --to | --from | --api | --sanitize | --output | -o | --language) index=$((index + 1)) ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=${COMP_WORDS[index]}; else operands+=("${COMP_WORDS[index]}"); fi ;;
    esac
  done
  COMPREPLY=()
  case $previous in
    --runtime-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
    --uuid | --timeout | --count | --attr | --pci) return ;;
    --parent) mapfile -t COMPREPLY < <(compgen -W "$(_umdev_column 1 parents)" -- "$current"); return ;;
    --type) mapfile -t COMPREPLY < <(compgen -W "$(_umdev_column 2 types)" -- "$current"); return ;;
    --api) mapfile -t COMPREPLY < <(compgen -W "4.10 5.13-rc 5.13 5.16 6.1 6.12 7.0" -- "$current"); return ;;
    --sanitize) mapfile -t COMPREPLY < <(compgen -W "address undefined address,undefined" -- "$current"); return ;;
    --language) mapfile -t COMPREPLY < <(compgen -W "c c++" -- "$current"); return ;;
    --netns | --pcap | --to | --from | --output | -o) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --until)
      mapfile -t COMPREPLY < <(compgen -W "add bind change unbind remove defined undefined" -- "$current")
      return
      ;;
  esac
  case $command in
    '') choices="$commands --runtime-dir --version --help" ;;
    create | define)
      case ${#operands[@]} in
        0) choices=$(_umdev_column 1 parents) ;;
        1) choices=$(_umdev_column 2 types | sort -u) ;;
      esac
      choices+=" --uuid --json --help"
      if [[ $command == define ]]; then choices+=" --auto --attr"; else choices+=" --pci"; fi
      ;;
    list) choices="--defined --json --help" ;;
    show | qemu-args | probe | remove | stop)
      if [[ ${#operands[@]} -eq 0 ]]; then choices=$(_umdev_column 1 list); fi
      choices+=" --json --help"
      if [[ $command == remove || $command == stop ]]; then choices+=" --force"; fi
      ;;
    migrate)
      if [[ ${#operands[@]} -eq 0 ]]; then choices=$(_umdev_column 1 list); fi
      choices+=" --to --from --parent --json --help"
      ;;
    apply | diff)
      if [[ $current != -* ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); return; fi
      choices="--json --help"
      ;;
    undefine | modify | autostart | start)
      if [[ ${#operands[@]} -eq 0 ]]; then choices=$(_umdev_column 1 list --defined); fi
      choices+=" --parent --json --help"
      case $command in
        modify) choices+=" --type --auto --manual --attr --no-attrs" ;;
        autostart) choices+=" --off" ;;
      esac
      ;;
    cc)
      if [[ $current != -* ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); return; fi
      choices="--output --api --sanitize --coverage --verbose --json --help"
      ;;
    module)
      case ${operands[0]:-} in
        '') choices="list add remove new" ;;
        add) if [[ $current != -* ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); return; fi ;;
        remove) choices=$(_umdev_column 1 module list) ;;
      esac
      choices+=" --force --language --json --help"
      ;;
    watch)
      if [[ ${#operands[@]} -eq 0 ]]; then choices=$(_umdev_column 1 list); fi
      choices+=" --json --uevents --netns --until --timeout --help"
      ;;
    trace)
      if [[ ${#operands[@]} -eq 0 ]]; then choices=$(_umdev_column 1 list); fi
      choices+=" --json --pcap --count --timeout --help"
      ;;
    run)
      if [[ ${#operands[@]} -eq 0 ]]; then choices="--explain --cover --help $(compgen -c -- "$current")"; fi ;;
    *) choices="--json --help" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
}

_umdevd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  case $previous in
    --runtime-dir | --state-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --config | --uevents | --module) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "--runtime-dir --state-dir --config --no-tree --uevents --module --module-param --fd --spin --log-level --version --help" \
      -- "$current") ;;
  esac
}

complete -F _umdev umdev
complete -F _umdevd umdevd
