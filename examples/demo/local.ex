defmodule Demo.Local do
  @moduledoc """
  What a stack writes of itself into its messages: Via and Contact with an address that the peer can reach.
  """

  alias Sippet.{Message, Transport, URI}

  @doc "The address and port of the stack's UDP socket, as a peer sees them."
  def address(stack, peer_ip) do
    [%{address: {ip, port}} | _] = Transport.list(stack)
    ip = if wildcard?(ip), do: facing(peer_ip), else: ip
    {ip |> :inet.ntoa() |> List.to_string(), port}
  end

  @doc "A Via for a new request: a branch names its transaction, `rport` asks for an answer by the same way (RFC 3581)."
  def via(stack, peer_ip) do
    parameters = %{"branch" => Message.create_branch(), "rport" => ""}
    [{{2, 0}, :udp, address(stack, peer_ip), parameters}]
  end

  @doc "A Contact: where requests within the dialog are to go (§8.1.1.8)."
  def contact(stack, user, peer_ip) do
    {host, port} = address(stack, peer_ip)
    [{"", %URI{scheme: "sip", userinfo: user, host: host, port: port}, %{}}]
  end

  @doc "Tells whether the topmost Route of a request names another element than this one (§16.4)."
  def forward?(stack, %{headers: %{route: [{_name, uri, _parameters} | _]}, source: source}) do
    {ip, _port} = source.remote
    {uri.host, uri.port} != address(stack, ip)
  end

  def forward?(_stack, _request), do: false

  defp wildcard?(ip), do: ip |> Tuple.to_list() |> Enum.all?(&(&1 == 0))

  # A socket that is bound to all addresses has none to write down. The system knows by which of them it reaches a peer;
  # connecting a UDP socket asks it, and sends nothing.
  defp facing(peer_ip) do
    family = if tuple_size(peer_ip) == 8, do: :inet6, else: :inet
    {:ok, socket} = :gen_udp.open(0, [family])

    try do
      with :ok <- :gen_udp.connect(socket, peer_ip, 9),
           {:ok, {ip, _port}} <- :inet.sockname(socket) do
        ip
      else
        {:error, _reason} ->
          if family == :inet, do: {127, 0, 0, 1}, else: {0, 0, 0, 0, 0, 0, 0, 1}
      end
    after
      :gen_udp.close(socket)
    end
  end
end
