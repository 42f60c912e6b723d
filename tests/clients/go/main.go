// franz-go and sarama against a broker. Prints ok and FAIL lines; "ASK kill" on standard output makes tests/clients/go/run
// kill the broker and start it again, which answers with a line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

var (
	bootstrap string
	answers   = bufio.NewReader(os.Stdin)
)

const patience = 180 * time.Second

func ask(what string) {
	fmt.Println("ASK " + what)
	if line, err := answers.ReadString('\n'); err != nil || strings.HasPrefix(line, "error") {
		panic(fmt.Sprintf("%s: %s %v", what, line, err))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(condition bool, format string, args ...any) {
	if !condition {
		panic(fmt.Sprintf(format, args...))
	}
}

func test(name string, body func()) bool {
	passed := true
	func() {
		defer func() {
			if problem := recover(); problem != nil {
				passed = false
				fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(fmt.Sprint(problem), "\n", " "))
			}
		}()
		body()
		fmt.Println("ok " + name)
	}()
	return passed
}

func main() {
	bootstrap = os.Args[1]
	passed := true
	for _, suite := range []func() bool{franzTests, saramaTests, groupTests, transactionTests} {
		passed = suite() && passed
	}
	if !passed {
		os.Exit(1)
	}
}
