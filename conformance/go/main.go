// Runs scenarios of conformance/scenarios.toml by their names, several at once, inside the process that the agent
// attests. The clients are Microsoft's modules as published. The world is the JSON file that CONFORMANCE_WORLD names;
// conformance/run.py writes it and reads the verdicts, one line of JSON each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

const atOnce = 6
const scenarioLimit = 2 * time.Minute

// A scenario tells its story and fails with what it found instead.
type scenario func(t *T)

var scenarios = map[string]scenario{}

// register adds the scenarios of one file; a name that is taken is a mistake of ours.
func register(named map[string]scenario) {
	for name, told := range named {
		if _, taken := scenarios[name]; taken {
			panic("two scenarios are called " + name)
		}
		scenarios[name] = told
	}
}

// T is what a scenario is given: a context with a limit, and the way to fail.
type T struct {
	context.Context
}

// failure is what a scenario panics with.
type failure struct{ said string }

// fail ends the scenario.
func (t *T) fail(format string, arguments ...any) {
	panic(failure{fmt.Sprintf(format, arguments...)})
}

// verdict is the line that conformance/run.py reads.
type verdict struct {
	Scenario string  `json:"scenario"`
	Passed   bool    `json:"passed"`
	Seconds  float64 `json:"seconds"`
	Said     string  `json:"said"`
}

func judge(name string) (judged verdict) {
	started := time.Now()
	limited, cancel := context.WithTimeout(context.Background(), scenarioLimit)
	defer cancel()
	defer func() {
		judged = verdict{Scenario: name, Passed: true, Seconds: time.Since(started).Seconds()}
		if caught := recover(); caught != nil {
			judged.Passed = false
			judged.Said = fmt.Sprint(caught)
			if known, ours := caught.(failure); ours {
				judged.Said = known.said
			}
			judged.Said += "\n" + string(debug.Stack())
		}
	}()
	told, known := scenarios[name]
	t := &T{limited}
	if !known {
		t.fail("no scenario is called `%s` here: register it in conformance/go", name)
	}
	told(t)
	return
}

func main() {
	names := make(chan string)
	verdicts := make(chan verdict)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for name := range names {
				verdicts <- judge(name)
			}
		})
	}
	go func() {
		for _, name := range os.Args[1:] {
			names <- name
		}
		close(names)
		workers.Wait()
		close(verdicts)
	}()
	code := 0
	printer := json.NewEncoder(os.Stdout)
	for judged := range verdicts {
		if !judged.Passed {
			code = 1
		}
		if printer.Encode(judged) != nil {
			code = 1
		}
	}
	os.Exit(code)
}
